"""Waits between tries: they double up to a limit, each jittered, so that clients of what comes back spread out."""

from __future__ import annotations

import random

from optrading.common.clock import Clock


class Backoff:
    """The waits of one client."""

    def __init__(self, clock: Clock, first_s: float, longest_s: float) -> None:
        """Wait by `clock`, from `first_s` up to `longest_s` seconds."""
        self._clock = clock
        self._first_s = first_s
        self._longest_s = longest_s
        self._next_s = first_s

    @property
    def fresh(self) -> bool:
        """Whether nothing failed since the last success."""
        return self._next_s == self._first_s

    async def wait(self) -> float:
        """Wait, longer each time; return for how long, seconds."""
        wait_s = self._next_s * random.uniform(0.5, 1.0)
        self._next_s = min(2 * self._next_s, self._longest_s)
        await self._clock.sleep(wait_s)
        return wait_s

    def reset(self) -> None:
        """Begin with short waits again."""
        self._next_s = self._first_s
