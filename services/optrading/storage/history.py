"""What is stored and can be read, as values that never change: a reader takes one and keeps its answer.

The writer replaces the value of an index after each commit. Readers in other threads see the one before or the one
after, never something in between, and sealing chains into a file moves them without changing what is shown.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import date

import pyarrow as pa

from optrading.market.chain import ORIGIN, Chain, Position
from optrading.market.clock import trading_date
from optrading.market.codec import from_micros, to_micros
from optrading.storage.stores.catalog import SealedFile, Totals
from optrading.storage.stores.columns import rows_of


@dataclass(frozen=True, slots=True, eq=False)
class StoredChain:
    """A chain in memory, decoded.

    Attributes:
        position: Its place.
        chain: The chain.
        event_time_us: Its event time, microseconds since 1970 UTC.
    """

    position: Position
    chain: Chain
    event_time_us: int

    @property
    def precedence(self) -> tuple[int, Position]:
        """What decides which chain is newer: event time, then position."""
        return self.event_time_us, self.position


@dataclass(frozen=True, slots=True, eq=False)
class UnsealedChain(StoredChain):
    """A chain that is still in the journal.

    Attributes:
        rows: Its rows, see stores.columns.
        trading_date: Its date in India.
    """

    rows: pa.RecordBatch
    trading_date: date


def unsealed_chain(position: Position, chain: Chain) -> UnsealedChain:
    """Return `chain` with its rows."""
    return UnsealedChain(
        position, chain, to_micros(chain.event_time), rows_of(position, chain), trading_date(chain.event_time)
    )


@dataclass(frozen=True, slots=True)
class Damage:
    """A journal row that no longer matched its checksum when storage started.

    Attributes:
        position: Its place.
        event_time_us: Its event time, microseconds since 1970 UTC.
    """

    position: Position
    event_time_us: int


@dataclass(frozen=True, slots=True, eq=False)
class IndexHistory:
    """Everything stored of one index.

    Attributes:
        index: Index symbol.
        watermark: The last durable position; ORIGIN when there is none.
        watermark_time_us: Event time of the chain there; None before the first.
        files: Sealed files, in the order of their sealing.
        tail: Chains not yet sealed, in the order of their positions.
        newest: The chain with the greatest event time; of several, the newest position. None before the first.
        totals: Counts over all epochs; None before the first chain.
        damaged: Rows that are known to be damaged.
    """

    index: str
    watermark: Position = ORIGIN
    watermark_time_us: int | None = None
    files: tuple[SealedFile, ...] = ()
    tail: tuple[UnsealedChain, ...] = ()
    newest: StoredChain | None = None
    totals: Totals | None = None
    damaged: tuple[Damage, ...] = ()

    @property
    def tail_rows(self) -> int:
        """Rows that are not yet sealed."""
        return sum(chain.rows.num_rows for chain in self.tail)

    def with_chains(
        self, chains: Sequence[UnsealedChain], watermark: Position | None, totals: Totals | None
    ) -> IndexHistory:
        """Return this history with `chains` after it; those of a side lane leave the watermark where it is (None)."""
        known = [self.newest] if self.newest else []
        return replace(
            self,
            watermark=watermark or self.watermark,
            watermark_time_us=chains[-1].event_time_us if chains and watermark else self.watermark_time_us,
            tail=(*self.tail, *chains),
            newest=max([*known, *chains], key=lambda chain: chain.precedence, default=None),
            totals=totals,
        )

    def with_sealed(self, file: SealedFile) -> IndexHistory:
        """Return this history with the chains of `file` read from there instead of from the tail."""
        tail = tuple(chain for chain in self.tail if not file.first <= chain.position <= file.last)
        return replace(self, files=(*self.files, file), tail=tail)


class History:
    """The histories of all indices. Written by one thread, read by any."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._by_index: dict[str, IndexHistory] = {}

    def known(self) -> Collection[str]:
        """Return the indices that are stored or being ingested, by name."""
        return sorted(self._by_index)

    def of(self, index: str) -> IndexHistory:
        """Return the history of `index`; an empty one when nothing is stored."""
        return self._by_index.get(index) or IndexHistory(index)

    def expect(self, index: str) -> None:
        """Make `index` known before its first chain."""
        self._by_index.setdefault(index, IndexHistory(index))

    def replace(self, history: IndexHistory) -> None:
        """Show `history` from now on."""
        self._by_index[history.index] = history


def describe_time(micros: int) -> str:
    """Return an instant for messages and logs."""
    return from_micros(micros).isoformat()
