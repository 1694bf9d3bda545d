"""The way in beside the live one: chains that are no part of the present become durable for storage to fetch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta

from optrading.collection.inspection import Inspector
from optrading.collection.lane_store import LaneKind, LaneStore
from optrading.collection.records import RecordMaker
from optrading.collection.shaping import Shaper
from optrading.collection.terms import SIDE_EPOCH_OFFSET_MS
from optrading.common.clock import Clock
from optrading.common.database import transaction
from optrading.common.journal import Record
from optrading.common.outbox import Notice, Outbox
from optrading.common.worker import Worker
from optrading.market.chain import Chain, Position
from optrading.market.codec import to_micros
from optrading.market.quality import QualityFlag

_REMEMBERED = 8
"""Lanes whose days are remembered for comparison while chains come in several calls."""


class SideLanes:
    """Takes imports and history through the journal; every strike is kept, and a live reader sees none of it."""

    def __init__(
        self, store: LaneStore, outbox: Outbox, writer: Worker, clock: Clock, on_committed: Callable[[], None]
    ) -> None:
        """Write to `store` and `outbox`, on one connection, in the thread of `writer`."""
        self._store = store
        self._outbox = outbox
        self._writer = writer
        self._clock = clock
        self._on_committed = on_committed
        self._makers: dict[int, RecordMaker] = {}

    async def open(self, kind: LaneKind, name: str) -> int:
        """Return the epoch of the lanes called `name`; the same name is the same epoch for ever."""
        return await self._writer.run(self._open, kind, name)

    async def append(self, epoch: int, chains: Sequence[Chain]) -> int:
        """Add `chains` behind those of their index in the lanes of `epoch`; durable when this returns.

        Returns:
            How many were added.

        Raises:
            KeyError: No lane was opened with this epoch.
        """
        added = await self._writer.run(self._append, epoch, chains)
        self._on_committed()
        return added

    async def append_at(self, epoch: int, position: int, chains: Sequence[Chain]) -> int | None:
        """Add those of `chains` that are not here yet; durable when this returns.

        Args:
            epoch: Of the lanes.
            position: Number of chains of these lanes, over all indices, before the first one here.
            chains: In the order in which they always come.

        Returns:
            How many were added; None when chains before `position` are missing: nothing was added.
        """
        added = await self._writer.run(self._append_at, epoch, position, chains)
        if added:
            self._on_committed()
        return added

    async def total(self, epoch: int) -> int:
        """Return how many chains the lanes of `epoch` ever had, over all indices."""
        return await self._writer.run(self._store.total, epoch)

    async def kind_of(self, epoch: int) -> LaneKind | None:
        """Return what the lanes of `epoch` hold; None for an epoch that `open` never gave."""
        return await self._writer.run(self._store.kind_of, epoch)

    async def is_known(self, kind: LaneKind, name: str) -> bool:
        """Return whether lanes of this name were opened before."""
        return await self._writer.run(self._store.is_known, kind, name)

    async def count(self, index: str, epoch: int) -> int:
        """Return how many chains of `index` the lane of `epoch` ever had."""
        return await self._writer.run(self._store.last_sequence, index, epoch)

    def _open(self, kind: LaneKind, name: str) -> int:
        least = to_micros(self._clock.now()) // 1000 - SIDE_EPOCH_OFFSET_MS
        with transaction(self._outbox.connection):
            return self._store.open(kind, name, least)

    def _append_at(self, epoch: int, position: int, chains: Sequence[Chain]) -> int | None:
        here = self._store.total(epoch)
        if position > here:
            return None
        fresh = chains[here - position :]
        return self._append(epoch, fresh) if fresh else 0

    def _append(self, epoch: int, chains: Sequence[Chain]) -> int:
        kind = self._store.kind_of(epoch)
        if kind is None:
            raise KeyError(epoch)
        maker = self._maker(epoch)
        sequences: dict[str, int] = {}
        records: list[Record] = []
        notices: list[Notice] = []
        for chain in chains:
            last = sequences.get(chain.index)
            sequence = (self._store.last_sequence(chain.index, epoch) if last is None else last) + 1
            sequences[chain.index] = sequence
            made = chain
            if kind is LaneKind.BACKFILL:
                made = replace(chain, quality=chain.quality | QualityFlag.BACKFILLED)
            record, notice = maker.make(made, Position(epoch, sequence))
            records.append(record)
            notices.append(notice)
        with transaction(self._outbox.connection):
            self._store.append(kind, records)
            self._outbox.add(notices)
        return len(records)

    def _maker(self, epoch: int) -> RecordMaker:
        maker = self._makers.pop(epoch, None) or RecordMaker(Shaper(), Inspector(timedelta.max))
        self._makers[epoch] = maker
        while len(self._makers) > _REMEMBERED:
            del self._makers[next(iter(self._makers))]
        return maker
