"""Time as a dependency, so that tests and replays can have their own."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Tells the time and waits."""

    def now(self) -> datetime:
        """Return the present, aware, UTC."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait. Cancellation leaves nothing behind."""
        ...


class SystemClock:
    """The computer's clock."""

    def now(self) -> datetime:
        """Return the present, aware, UTC."""
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        """Wait. Cancellation leaves nothing behind."""
        await asyncio.sleep(seconds)
