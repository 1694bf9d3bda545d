"""The way out of the journal: what storage holds may go, and nothing waits for storage forever."""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog

from optrading.collection.lane_store import LaneStore
from optrading.collection.terms import SIDE_EPOCHS_END
from optrading.common.clock import Clock
from optrading.common.database import transaction
from optrading.common.journal import Journal
from optrading.common.outbox import Outbox
from optrading.common.worker import Worker
from optrading.market.chain import ORIGIN, Position
from optrading.market.codec import to_micros

log = structlog.get_logger()


class JournalTrimmer:
    """Removes from the journal what storage holds, and what is too old to wait for it any longer."""

    def __init__(
        self,
        journal: Journal,
        lanes: LaneStore,
        outbox: Outbox,
        writer: Worker,
        clock: Clock,
        window: timedelta,
        retention: timedelta,
    ) -> None:
        """Trim what storage acknowledged once it is older than `window`, and everything older than `retention`."""
        self._lanes = lanes
        self._journal = journal
        self._outbox = outbox
        self._writer = writer
        self._clock = clock
        self._window = window
        self._retention = retention
        self._acknowledged: dict[tuple[str, int], int] = {}

    async def acknowledge(self, index: str, position: Position) -> None:
        """Note that storage is durable up to `position` in its epoch; that says nothing of other epochs."""
        key = (index, position.epoch)
        self._acknowledged[key] = max(position.sequence, self._acknowledged.get(key, 0))
        if position.epoch < SIDE_EPOCHS_END:
            await self._writer.run(self._acknowledge_lane, index, position)

    async def run(self, interval_s: float) -> None:
        """Trim every `interval_s` seconds until cancelled."""
        while True:
            await self._clock.sleep(interval_s)
            await self.trim()

    async def trim(self) -> None:
        """Trim all that may go, a little at a time: chains are committed in between."""
        now = self._clock.now()
        total = 0
        while removed := await self._writer.run(self._trim, now):
            total += removed
        if total:
            log.info("journal_trimmed", removed=total)

    def _trim(self, now: datetime) -> int:
        removed = 0
        with transaction(self._outbox.connection):
            for index in self._journal.indices():
                removed += self._journal.trim(index, self._stored_up_to(index), to_micros(now - self._window))
                last = self._journal.last_position(index) or ORIGIN
                removed += self._journal.trim(index, last, to_micros(now - self._retention))
            removed += self._lanes.trim(to_micros(now - self._window), to_micros(now - self._retention))
        return removed

    def _acknowledge_lane(self, index: str, position: Position) -> None:
        with transaction(self._outbox.connection):
            self._lanes.acknowledge(index, position)

    def _stored_up_to(self, index: str) -> Position:
        """Return the last position up to which storage has everything that the journal holds."""
        stored = ORIGIN
        for epoch, _, last in self._journal.epochs(index):
            sequence = self._acknowledged.get((index, epoch), 0)
            if sequence < last:
                return Position(epoch, sequence) if sequence else stored
            stored = Position(epoch, last)
        return stored
