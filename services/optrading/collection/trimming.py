"""The way out of the journal: what storage holds may go, and nothing waits for storage forever."""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog

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
        self, journal: Journal, outbox: Outbox, writer: Worker, clock: Clock, window: timedelta, retention: timedelta
    ) -> None:
        """Trim what storage acknowledged once it is older than `window`, and everything older than `retention`."""
        self._journal = journal
        self._outbox = outbox
        self._writer = writer
        self._clock = clock
        self._window = window
        self._retention = retention
        self._acknowledged: dict[str, Position] = {}

    def acknowledge(self, index: str, position: Position) -> None:
        """Note that storage is durable up to `position`."""
        self._acknowledged[index] = max(position, self._acknowledged.get(index, ORIGIN))

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
                stored = self._acknowledged.get(index, ORIGIN)
                removed += self._journal.trim(index, stored, to_micros(now - self._window))
                last = self._journal.last_position(index) or ORIGIN
                removed += self._journal.trim(index, last, to_micros(now - self._retention))
        return removed
