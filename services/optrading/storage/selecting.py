"""What of a history is wanted, and the SQL that finds it in one segment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from optrading.market.codec import from_micros
from optrading.storage.planning import Span
from optrading.storage.stores.columns import ADDED_COLUMNS, SCHEMA

TAIL = "tail"
"""Name under which the unsealed rows are registered with DuckDB."""


_ADDED = ", ".join(f"NULL::{kind} AS {name}" for name, kind in ADDED_COLUMNS.items())
_FILES = (
    # Hive partitioning would add columns from the names of folders. What files of an older format lack is null.
    "(SELECT * FROM read_parquet($files, hive_partitioning = false, union_by_name = true)"  # noqa: S608  # constants
    f" UNION ALL BY NAME (SELECT {_ADDED} WHERE false))"
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What of a history is asked for.

    Attributes:
        span: Of event time.
        bucket: Only expiries that answer to it on their chain's own date; empty for all.
        expiry: Only this one.
        strikes: Only these, rupees; empty for all.
    """

    span: Span
    bucket: str = ""
    expiry: date | None = None
    strikes: tuple[float, ...] = ()

    @property
    def everything(self) -> bool:
        """Whether chains are wanted as they are; otherwise those without a wanted strike are left out."""
        return not (self.bucket or self.expiry or self.strikes)


def selection_query(paths: Sequence[str], with_tail: bool, wanted: Wanted) -> tuple[str, dict[str, object]]:
    """Return the query of one segment, and its parameters: every value is bound, only names of columns are text.

    Args:
        paths: Sealed files, each named.
        with_tail: Whether unsealed rows are registered as `TAIL`; at least one of both.
        wanted: What to select. Which chain of an event time is shown is decided before anything is left out.
    """
    parameters: dict[str, object] = {}
    in_span = ["true"]
    if wanted.span.start_us is not None:
        in_span.append("event_time >= $start_time")
        parameters["start_time"] = from_micros(wanted.span.start_us)
    if wanted.span.end_us is not None:
        in_span.append("event_time < $end_time")
        parameters["end_time"] = from_micros(wanted.span.end_us)
    sources = [TAIL] if with_tail else []
    if paths:
        sources.append(_FILES)
        parameters["files"] = list(paths)
    matching = ["legs.epoch = shown.position.epoch", "legs.sequence = shown.position.sequence"]
    if not wanted.everything:
        matching.append("legs.strike_inr IS NOT NULL")
    if wanted.bucket:
        matching.append("list_contains(legs.buckets, $bucket)")
        parameters["bucket"] = wanted.bucket
    if wanted.expiry:
        matching.append("legs.expiry = $expiry")
        parameters["expiry"] = wanted.expiry
    if wanted.strikes:
        matching.append("list_contains($strikes, legs.strike_inr)")
        parameters["strikes"] = list(wanted.strikes)
    columns = ", ".join(SCHEMA.names)
    legs = " UNION ALL ".join(_select(columns, source, in_span) for source in sources)
    query = f"""
        WITH legs AS NOT MATERIALIZED ({legs}),
        shown AS (
            SELECT event_time, max(struct_pack(epoch := epoch, sequence := sequence)) AS position
            FROM legs GROUP BY event_time
        )
        SELECT {", ".join(f"legs.{name}" for name in SCHEMA.names)}
        FROM legs JOIN shown USING (event_time)
        WHERE {" AND ".join(matching)}
        ORDER BY legs.event_time, legs.expiry, legs.strike_inr
    """  # noqa: S608  # the text holds names of this module and of the schema only; values are bound
    return query, parameters


def _select(columns: str, source: str, conditions: Sequence[str]) -> str:
    return f"SELECT {columns} FROM {source} WHERE {' AND '.join(conditions)}"  # noqa: S608  # as above
