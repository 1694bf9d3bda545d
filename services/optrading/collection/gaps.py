"""The gap ledger: every interval of which something is missing or suspicious, with its cause, for good.

It is an append-only list of changes in the journal's database: each holds a whole gap as it was then, and the last one
is what is shown of it. Synchronous, for one thread; changes belong inside `database.transaction`.
"""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from optrading.common.outbox import Notice
from optrading.market.codec import from_timestamp, to_micros, to_timestamp
from optrading.market.gaps import GapRepair, Interruption
from optrading.market.v1 import event_pb2, gap_pb2

_SCHEMA = """
CREATE TABLE IF NOT EXISTS gap_change (
  change INTEGER PRIMARY KEY AUTOINCREMENT,
  gap_id TEXT NOT NULL,
  gap BLOB NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS gap_change_by_gap ON gap_change (gap_id, change);
CREATE TABLE IF NOT EXISTS gap_ledger (ledger_id TEXT NOT NULL) STRICT;
"""


@dataclass(frozen=True, slots=True)
class Change:
    """One change of the ledger.

    Attributes:
        number: 1, 2, 3, ...
        gap: The gap as it is after it.
    """

    number: int
    gap: gap_pb2.Gap


class GapLedger:
    """Notes gaps; knows which are open."""

    def __init__(self, connection: sqlite3.Connection, *, create: bool = True) -> None:
        """Use `connection`, which the caller owns; make the tables unless they are known to be there."""
        self._connection = connection
        if create:
            connection.executescript(_SCHEMA)
            if connection.execute("SELECT 1 FROM gap_ledger").fetchone() is None:
                connection.execute("INSERT INTO gap_ledger (ledger_id) VALUES (?)", (uuid.uuid4().hex,))
        self.ledger_id: str = connection.execute("SELECT ledger_id FROM gap_ledger").fetchone()[0]
        """Identifies this ledger; one that is lost is never mistaken for its successor."""
        self._open = {gap.gap_id: gap for gap in self._latest() if not gap.HasField("end_time")}
        self._inherited = set(self._open)

    def open_count(self, index: str, *, closed_too: bool = False) -> int:
        """Return how many gaps of `index` are open; those that only say that the market is closed when `closed_too`."""
        silent = gap_pb2.GAP_CAUSE_MARKET_CLOSED
        return sum(gap.index == index and (closed_too or gap.cause != silent) for gap in list(self._open.values()))

    def note(self, news: Interruption, epoch: int, now: datetime) -> list[Notice]:
        """Note what a feed or a watch says: a gap that begins, goes on or ends.

        Args:
            news: What is said; about the same gap as before when index, cause and beginning are the same.
            epoch: Of the collector's term.
            now: The present.

        Returns:
            What is to be told: a gap that is new, or that has ended. Nothing when nothing changed.
        """
        gap_id = f"{news.index}/{news.cause.name.lower()}/{to_micros(news.since)}"
        known = self._open.get(gap_id) or self._find(gap_id)
        if known is not None and (known.HasField("end_time") or news.until is None):
            return []
        gap = gap_pb2.Gap()
        if known is None:
            gap.gap_id, gap.index, gap.epoch = gap_id, news.index, epoch
            gap.cause = gap_pb2.GapCause.ValueType(news.cause)
            gap.start_time.CopyFrom(to_timestamp(news.since))
            gap.detected_time.CopyFrom(to_timestamp(now))
            gap.detail, gap.leg_count = news.detail, news.leg_count
        else:
            gap.CopyFrom(known)
        if news.until is not None:
            gap.end_time.CopyFrom(to_timestamp(max(news.until, news.since)))
        self._write(gap)
        return [_notice(gap, begins=known is None, now=now)]

    def close_inherited(self, index: str, until: datetime, now: datetime) -> list[Notice]:
        """End the gaps of `index` that a process before this one left open: a chain has come, so all is well again."""
        return self._close(self._inherited, index, until, now)

    def close_all(self, index: str, now: datetime) -> list[Notice]:
        """End every gap of `index` that is open: from now on it is another collector that says what is missing."""
        return self._close(self._open, index, now, now)

    def _close(self, gap_ids: Iterable[str], index: str, until: datetime, now: datetime) -> list[Notice]:
        notices = []
        for gap_id in [gap_id for gap_id in gap_ids if self._open[gap_id].index == index]:
            gap = gap_pb2.Gap()
            gap.CopyFrom(self._open[gap_id])
            gap.end_time.CopyFrom(to_timestamp(max(until, from_timestamp(gap.start_time))))
            self._write(gap)
            notices.append(_notice(gap, begins=False, now=now))
        return notices

    def set_repair(self, gap_id: str, repair: GapRepair, chain_count: int) -> None:
        """Note what became of filling a gap."""
        gap = self._find(gap_id)
        if gap is not None:
            gap.repair = gap_pb2.GapRepair.ValueType(repair)
            gap.backfilled_chain_count = chain_count
            self._write(gap)

    def to_repair(self) -> list[gap_pb2.Gap]:
        """Return the gaps that have ended and were not tried to be filled, oldest first."""
        nothing_missing = gap_pb2.GAP_CAUSE_MARKET_CLOSED
        return [
            gap
            for gap in self._latest()
            if gap.HasField("end_time")
            and gap.repair == gap_pb2.GAP_REPAIR_UNSPECIFIED
            and gap.cause != nothing_missing
        ]

    def changes_after(self, number: int, limit: int) -> list[Change]:
        """Return up to `limit` changes after `number`, in order."""
        rows = self._connection.execute(
            "SELECT change, gap FROM gap_change WHERE change > ? ORDER BY change LIMIT ?", (number, limit)
        )
        return [Change(change, gap_pb2.Gap.FromString(gap)) for change, gap in rows]

    def last_change(self) -> int:
        """Return the number of the last change; 0 before the first."""
        return int(self._connection.execute("SELECT coalesce(max(change), 0) FROM gap_change").fetchone()[0])

    def _find(self, gap_id: str) -> gap_pb2.Gap | None:
        row = self._connection.execute(
            "SELECT gap FROM gap_change WHERE gap_id = ? ORDER BY change DESC LIMIT 1", (gap_id,)
        ).fetchone()
        return gap_pb2.Gap.FromString(row[0]) if row else None

    def _latest(self) -> Iterable[gap_pb2.Gap]:
        rows = self._connection.execute(
            "SELECT gap FROM gap_change WHERE change IN (SELECT max(change) FROM gap_change GROUP BY gap_id)"
            " ORDER BY change"
        ).fetchall()
        return [gap_pb2.Gap.FromString(gap) for (gap,) in rows]

    def _write(self, gap: gap_pb2.Gap) -> None:
        self._connection.execute(
            "INSERT INTO gap_change (gap_id, gap) VALUES (?, ?)", (gap.gap_id, gap.SerializeToString())
        )
        if gap.HasField("end_time"):
            self._open.pop(gap.gap_id, None)
            self._inherited.discard(gap.gap_id)
        else:
            self._open[gap.gap_id] = gap


def _notice(gap: gap_pb2.Gap, *, begins: bool, now: datetime) -> Notice:
    event = event_pb2.Event(
        event_id=f"{'gap_detected' if begins else 'gap_closed'}/{gap.gap_id}",
        event_type="gap_detected" if begins else "gap_closed",
        occurred_at=to_timestamp(now),
        service="collection",
    )
    if begins:
        event.gap_detected.gap.CopyFrom(gap)
    else:
        event.gap_closed.gap.CopyFrom(gap)
    return Notice(event, "")


def session_refused(broker: str, news: Interruption, now: datetime) -> Notice:
    """Return the notice that somebody must log in to `broker` before the index of `news` is collected again."""
    refused = event_pb2.SessionRefused(broker=broker, detail=news.detail, indices=[news.index])
    return Notice(
        event_pb2.Event(
            event_id=f"session_refused/{news.index}/{to_micros(news.since)}",
            event_type="session_refused",
            occurred_at=to_timestamp(now),
            service="collection",
            session_refused=refused,
        ),
        "",
    )
