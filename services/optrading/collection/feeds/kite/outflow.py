"""What a feed has ready for its reader, in order and bounded: the oldest chain is lost first, and never silently."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from datetime import datetime

from optrading.collection.feeds.base import FeedItem
from optrading.market.chain import Chain
from optrading.market.gaps import GapCause, Interruption

_MOST_CHAINS = 64
"""Chains that wait: ten seconds of six indices. A disk that is slower than this for longer loses the oldest."""


class Outflow:
    """A queue between the network and the pipeline."""

    def __init__(self) -> None:
        """Hold nothing."""
        self._items: deque[FeedItem] = deque()
        self._chains = 0
        self._ready = asyncio.Event()
        self._error: BaseException | None = None

    def put(self, item: FeedItem) -> None:
        """Add an item at the end."""
        self._items.append(item)
        if isinstance(item, Chain):
            self._chains += 1
            if self._chains > _MOST_CHAINS:
                self._drop_oldest_chain()
        self._ready.set()

    def fail(self, error: BaseException) -> None:
        """Have the reader raise `error` after what is ready."""
        self._error = error
        self._ready.set()

    async def get(self) -> FeedItem:
        """Return the next item, once there is one."""
        while not self._items:
            if self._error is not None:
                raise self._error
            self._ready.clear()
            await self._ready.wait()
        item = self._items.popleft()
        self._chains -= isinstance(item, Chain)
        return item

    def _drop_oldest_chain(self) -> None:
        for place, item in enumerate(self._items):
            if isinstance(item, Chain):
                del self._items[place]
                self._chains -= 1
                detail = "the pipeline was slower than the market: a chain was left out"
                instant = item.event_time
                self._items.insert(place, Interruption(item.index, GapCause.LATE, instant, instant, detail))
                return


class Outages:
    """What is missing of each index now: each cause once, from when all was well until it is again."""

    def __init__(self, outflow: Outflow) -> None:
        """Say what begins and ends to `outflow`."""
        self._outflow = outflow
        self._open: dict[tuple[str, GapCause], Interruption] = {}

    def begin(self, index: str, cause: GapCause, since: datetime, detail: str) -> bool:
        """Note that something is missing; return False when that is known."""
        if (index, cause) in self._open:
            return False
        news = self._open[index, cause] = Interruption(index, cause, since, None, detail)
        self._outflow.put(news)
        return True

    def end(self, index: str, cause: GapCause, until: datetime) -> None:
        """Note that what was missing is there again; nothing when nothing was."""
        news = self._open.pop((index, cause), None)
        if news is not None:
            end = max(until, news.since)
            self._outflow.put(Interruption(index, cause, news.since, end, news.detail, news.leg_count))

    def of(self, index: str) -> Mapping[GapCause, Interruption]:
        """Return what is missing of `index` now."""
        return {cause: news for (name, cause), news in self._open.items() if name == index}
