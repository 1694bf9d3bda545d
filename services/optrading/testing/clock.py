"""A clock that moves only when a test says so."""

from __future__ import annotations

import asyncio
import heapq
from datetime import UTC, datetime, timedelta
from itertools import count


class ManualClock:
    """Implements `optrading.common.clock.Clock` without real time: who sleeps wakes when the clock is advanced."""

    def __init__(self, now: datetime = datetime(2026, 8, 18, 5, 0, tzinfo=UTC)) -> None:
        """Stand at `now`, which must be aware."""
        self._now = now.astimezone(UTC)
        self._sleepers: list[tuple[datetime, int, asyncio.Future[None]]] = []
        self._ordinals = count()
        self._changed = asyncio.Event()

    def now(self) -> datetime:
        """Return the present, aware, UTC."""
        return self._now

    def advance(self, step: timedelta) -> None:
        """Move by `step` and wake whose time has come, earliest first; they run when the test next awaits."""
        self._now += step
        while self._sleepers and self._sleepers[0][0] <= self._now:
            _, _, sleeper = heapq.heappop(self._sleepers)
            if not sleeper.done():
                sleeper.set_result(None)

    async def sleep(self, seconds: float) -> None:
        """Wait until the clock was advanced by `seconds`; 0 or less only lets others run. May be cancelled."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        sleeper: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        until = self._now + timedelta(seconds=seconds)
        heapq.heappush(self._sleepers, (until, next(self._ordinals), sleeper))
        self._changed.set()
        await sleeper

    async def until_sleeping(self, sleepers: int = 1) -> None:
        """Return when at least so many are asleep: what they did before is done."""
        while sum(not sleeper.done() for _, _, sleeper in self._sleepers) < sleepers:
            self._changed.clear()
            await self._changed.wait()
