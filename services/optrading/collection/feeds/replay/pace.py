"""How fast a recording plays: recorded gaps divided by the speed, kept by the injected clock."""

from __future__ import annotations

import asyncio
import math
from datetime import datetime, timedelta

from optrading.common.clock import Clock

SLOWEST = 1.0
FASTEST = 1000.0
_MOST_LATENESS_S = 1.0
"""A player later than this (a slow reader, a suspended laptop) goes on from here instead of catching up in a burst."""


def parse_speed(text: str) -> float | None:
    """Read a speed such as `60`, `60x` or `max`.

    Returns:
        How many times faster than recorded, from 1 to 1000; None means as fast as chains are taken.

    Raises:
        ValueError: It is none of these.
    """
    word = text.strip().lower()
    if word == "max":
        return None
    try:
        speed = float(word.removesuffix("x"))
    except ValueError:
        speed = math.nan
    if not SLOWEST <= speed <= FASTEST:
        raise ValueError(f"{text!r} is no speed; allowed: 1 to 1000 (such as 60 or 60x) or max")
    return speed


class Pace:
    """Waits between recorded instants. The first instant is due at once."""

    def __init__(self, clock: Clock, speed: float | None) -> None:
        """Play at `speed` times the recorded speed; None does not wait at all."""
        self._clock = clock
        self._speed = speed
        self._instant: datetime | None = None
        self._due: datetime | None = None

    async def until(self, instant: datetime) -> None:
        """Wait until the recorded `instant` is due; the same instant again is due at once."""
        gap_s = 0.0 if self._instant is None else (instant - self._instant).total_seconds()
        self._instant = instant
        await self.wait(gap_s)

    async def wait(self, gap_s: float) -> None:
        """Wait for a recorded gap, seconds of the recording."""
        if self._speed is None:
            await asyncio.sleep(0)  # at full speed, too, other tasks get their turn
            return
        gap_s /= self._speed
        now = self._clock.now()
        # Due times follow one another, so that the time spent between two chains does not slow the replay down.
        due = (self._due or now) + timedelta(seconds=gap_s)
        ahead_s = (due - now).total_seconds()
        if not -_MOST_LATENESS_S <= ahead_s <= gap_s:
            ahead_s = min(max(ahead_s, 0.0), gap_s)
            due = now + timedelta(seconds=ahead_s)
        self._due = due
        if ahead_s > 0:
            await self._clock.sleep(ahead_s)
        else:
            await asyncio.sleep(0)

    def begin_again(self) -> None:
        """Forget the instant: the recording starts anew."""
        self._instant = None
