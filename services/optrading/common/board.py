"""What is newest per index, and how readers wait for the next: one publisher, any number of readers, no queue each.

A reader holds a position and asks for what comes after it. Nothing is kept per reader, so a slow one costs nothing: it
finds the newest item when it comes back, and knows how many it missed.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass
from itertools import count
from typing import Generic, Protocol, TypeVar

from optrading.common.errors import Unavailable
from optrading.market.chain import ORIGIN, Position


class Positioned(Protocol):
    """Something that stands at a position."""

    @property
    def position(self) -> Position:
        """Return its place among those of its index."""
        ...


ItemT = TypeVar("ItemT", bound=Positioned)


@dataclass(frozen=True, slots=True)
class Update(Generic[ItemT]):
    """One step of a stream.

    Attributes:
        item: The next item; None is a sign of life.
        skipped: Items left out before this one because the reader was slow.
    """

    item: ItemT | None
    skipped: int = 0


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """How streams behave over time.

    Attributes:
        heartbeat_s: Silence after which a sign of life is sent, seconds.
        max_age_s: Age at which a stream ends, seconds; jittered by a tenth, so that streams that began together do
            not end together.
    """

    heartbeat_s: float
    max_age_s: float

    def end(self) -> float:
        """Return when a stream that begins now ends, in the event loop's time."""
        return asyncio.get_running_loop().time() + self.max_age_s * random.uniform(0.9, 1.1)


class _Shelf(Generic[ItemT]):
    """What the board knows of one index."""

    def __init__(self, depth: int) -> None:
        self.recent: deque[tuple[int, ItemT]] = deque(maxlen=depth)
        self.before_recent = ORIGIN
        self.ordinals = count(1)
        self.changed = asyncio.Event()


class Board(Generic[ItemT]):
    """The newest items of each index, in memory."""

    def __init__(self, depth: int = 32) -> None:
        """Keep the `depth` newest items of each index."""
        self._depth = depth
        self._shelves: dict[str, _Shelf[ItemT]] = {}
        self._closed = False

    def add_index(self, index: str) -> None:
        """Make `index` known before its first item."""
        self._shelves.setdefault(index, _Shelf(self._depth))

    @property
    def indices(self) -> Collection[str]:
        """Return the known indices."""
        return self._shelves.keys()

    def publish(self, index: str, item: ItemT) -> None:
        """Make `item` the newest of `index` and wake those who wait. Positions must grow."""
        self.add_index(index)
        shelf = self._shelves[index]
        if len(shelf.recent) == self._depth:
            shelf.before_recent = shelf.recent[0][1].position
        elif not shelf.recent:
            shelf.before_recent = Position(item.position.epoch, item.position.sequence - 1)
        shelf.recent.append((next(shelf.ordinals), item))
        shelf.changed.set()
        shelf.changed = asyncio.Event()

    def close(self) -> None:
        """End every stream that has nothing to send, so that a stopping service need not wait for it."""
        self._closed = True
        for shelf in self._shelves.values():
            shelf.changed.set()

    def published(self, index: str) -> int:
        """Return how many items of a known index were published here: the ordinal of the newest."""
        recent = self._shelves[index].recent
        return recent[-1][0] if recent else 0

    def newest(self, index: str) -> ItemT | None:
        """Return the newest item of a known index; None before the first."""
        recent = self._shelves[index].recent
        return recent[-1][1] if recent else None

    def recent_after(self, index: str, position: Position) -> list[ItemT] | None:
        """Return the items after `position`, in order; None when some of them are no longer here."""
        shelf = self._shelves[index]
        if position < shelf.before_recent:
            return None
        return [item for _, item in shelf.recent if item.position > position]

    async def wait_after(self, index: str, position: Position) -> tuple[int, ItemT]:
        """Return the newest item once it is after `position`, and its ordinal since this board began.

        Raises:
            Unavailable: SHUTTING_DOWN, once the board is closed.
        """
        shelf = self._shelves[index]
        while not shelf.recent or shelf.recent[-1][1].position <= position:
            if self._closed:
                raise Unavailable("the service is shutting down", reason="SHUTTING_DOWN", retry_after_s=1.0)
            await shelf.changed.wait()
        return shelf.recent[-1]

    async def changed_after(self, index: str, position: Position, timeout_s: float) -> bool:
        """Wait until there is an item after `position`; return False when there is none within `timeout_s` seconds."""
        try:
            async with asyncio.timeout(timeout_s):
                await self.wait_after(index, position)
        except TimeoutError:
            return False
        return True

    async def follow_newest(
        self, index: str, limits: StreamLimits, position: Position = ORIGIN, seen: int = 0
    ) -> AsyncIterator[Update[ItemT]]:
        """Yield the newest item after `position`, then each newer one; what comes in between is counted, not sent.

        Args:
            index: Index symbol, known.
            limits: Heartbeats and age.
            position: Where the reader is; ORIGIN begins with the newest item, and nothing before it counts as left out.
            seen: Ordinal of the item at `position`, see `published`.

        Raises:
            Unavailable: STREAM_AGE_REACHED, after the maximum age.
        """
        end = limits.end()
        while True:
            try:
                async with asyncio.timeout(limits.heartbeat_s):
                    ordinal, item = await self.wait_after(index, position)
            except TimeoutError:
                yield Update(None)
            else:
                yield Update(item, 0 if position == ORIGIN else ordinal - seen - 1)
                seen, position = ordinal, item.position
            check_age(end)


def check_age(end: float) -> None:
    """End a stream whose time has come.

    Raises:
        Unavailable: STREAM_AGE_REACHED.
    """
    if asyncio.get_running_loop().time() >= end:
        raise Unavailable(
            "this stream has reached its maximum age; resume after the last position received",
            reason="STREAM_AGE_REACHED",
            retry_after_s=0.0,
        )
