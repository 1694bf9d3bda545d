"""A feed that yields what a test gives it, when the test gives it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Self

from optrading.collection.feeds.base import FeedError, FeedItem
from optrading.market.chain import Chain


class ScriptedFeed:
    """Implements `optrading.collection.feeds.base.Feed` over a script that grows while it is read."""

    def __init__(self, *indices: str, name: str = "synthetic", identity: str = "script") -> None:
        """Bring `indices`.

        Args:
            indices: Symbols.
            name: Kind of feed it passes for.
            identity: What resume positions belong to.
        """
        self.name = name
        self.identity = identity
        self.indices = indices
        self.resume: Mapping[str, datetime] | None = None
        """What the reader said it has; None until it asked."""
        self.selected: Collection[str] = indices
        """Indices that the reader wants; others are left out."""
        self.remembered: list[Chain] = []
        """What `history` finds."""
        self._script: asyncio.Queue[FeedItem | FeedError | None] = asyncio.Queue()

    def select(self, indices: Collection[str]) -> None:
        """Note what the reader wants."""
        self.selected = frozenset(indices)

    def give(self, *items: FeedItem) -> None:
        """Yield these next; a chain that the reader said it has is left out, as every feed does."""
        for item in items:
            self._script.put_nowait(item)

    def end(self) -> None:
        """Have nothing more after what was given."""
        self._script.put_nowait(None)

    def fail(self, message: str) -> None:
        """Raise FeedError after what was given."""
        self._script.put_nowait(FeedError(message))

    async def history(self, index: str, since: datetime, until: datetime) -> Sequence[Chain]:
        """Return what is remembered of the interval."""
        return [chain for chain in self.remembered if chain.index == index and since < chain.event_time < until]

    async def chains(self, resume: Mapping[str, datetime]) -> AsyncIterator[FeedItem]:
        """Yield what is given, in that order, until the end."""
        self.resume = dict(resume)
        while True:
            step = await self._script.get()
            if step is None:
                return
            if isinstance(step, FeedError):
                raise step
            durable = resume.get(step.index)
            if isinstance(step, Chain) and durable is not None and step.event_time <= durable:
                continue
            if step.index in self.selected:
                yield step

    async def __aenter__(self) -> Self:
        """Open the feed; it holds nothing."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the feed."""
