"""Which parts of a history a read has to touch: disjoint stretches of time, each small enough to sort."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import reduce
from itertools import groupby

from optrading.storage.history import Damage, IndexHistory, UnsealedChain
from optrading.storage.stores.catalog import SealedFile


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of event time.

    Attributes:
        start_us: Inclusive, microseconds since 1970 UTC; None is the beginning.
        end_us: Exclusive, microseconds since 1970 UTC; None is the end.
    """

    start_us: int | None = None
    end_us: int | None = None

    def overlaps(self, first_us: int, last_us: int) -> bool:
        """Return whether something from `first_us` to `last_us`, both included, may lie in it."""
        return (self.end_us is None or first_us < self.end_us) and (self.start_us is None or last_us >= self.start_us)

    def has(self, instant_us: int) -> bool:
        """Return whether `instant_us` lies in it."""
        return self.overlaps(instant_us, instant_us)


@dataclass(frozen=True, slots=True)
class Segment:
    """What must be read together, since its parts overlap in time; all of it is before the next segment.

    Attributes:
        files: Sealed files.
        tail: Chains not yet sealed, in the span asked for.
        damaged: Damaged rows in the span asked for: the segment cannot be answered.
    """

    files: tuple[SealedFile, ...] = ()
    tail: tuple[UnsealedChain, ...] = ()
    damaged: tuple[Damage, ...] = ()

    @property
    def row_count(self) -> int:
        """Rows in it."""
        unsealed: int = sum(chain.rows.num_rows for chain in self.tail)
        return unsealed + sum(file.row_count for file in self.files)

    def joined(self, other: Segment) -> Segment:
        """Return both as one."""
        return Segment(self.files + other.files, self.tail + other.tail, self.damaged + other.damaged)


@dataclass(frozen=True, slots=True)
class _Part:
    first_us: int
    last_us: int
    what: Segment


def plan(history: IndexHistory, span: Span) -> Iterator[Segment]:
    """Yield the segments of `history` that may hold chains of `span`, in the order of time.

    Files hold one trading date each and the tail is cut by date, so a segment is at most a day, usually one file.
    """
    together: list[_Part] = []
    for part in sorted(_parts(history, span), key=lambda part: part.first_us):
        if together and part.first_us > max(each.last_us for each in together):
            yield _joined(together)
            together = []
        together.append(part)
    if together:
        yield _joined(together)


def _parts(history: IndexHistory, span: Span) -> Iterator[_Part]:
    for file in history.files:
        if span.overlaps(file.min_event_time_us, file.max_event_time_us):
            yield _Part(file.min_event_time_us, file.max_event_time_us, Segment(files=(file,)))
    for _, group in groupby(history.tail, key=lambda chain: chain.trading_date):
        chains = tuple(chain for chain in group if span.has(chain.event_time_us))
        if chains:
            times = [chain.event_time_us for chain in chains]
            yield _Part(min(times), max(times), Segment(tail=chains))
    for row in history.damaged:
        if span.has(row.event_time_us):
            yield _Part(row.event_time_us, row.event_time_us, Segment(damaged=(row,)))


def _joined(parts: Iterable[_Part]) -> Segment:
    return reduce(Segment.joined, (part.what for part in parts))


def latest_before(history: IndexHistory, end_us: int) -> tuple[int | None, list[SealedFile]]:
    """Find the greatest event time before `end_us` as far as it is known without opening a file.

    Returns:
        A time at which there is something, or None; and the files that may hold a later one still before `end_us`.
    """
    before = [chain.event_time_us for chain in history.tail if chain.event_time_us < end_us]
    before += [row.event_time_us for row in history.damaged if row.event_time_us < end_us]
    inside = []
    for file in history.files:
        if file.max_event_time_us < end_us:
            before.append(file.max_event_time_us)
        elif file.min_event_time_us < end_us:
            before.append(file.min_event_time_us)
            inside.append(file)
    latest = max(before, default=None)
    return latest, [file for file in inside if latest is None or file.max_event_time_us > latest]
