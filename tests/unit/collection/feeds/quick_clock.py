"""A clock whose time passes only while somebody sleeps or a test says so; sleeping takes no real time."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

BEGINNING = datetime(2026, 8, 18, 5, 0, tzinfo=UTC)


class QuickClock:
    def __init__(self, now: datetime = BEGINNING) -> None:
        self._now = now
        self.slept_s: list[float] = []

    def now(self) -> datetime:
        return self._now

    def advance(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)

    async def sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)
        self.advance(seconds)
        await asyncio.sleep(0)
