"""A feed that yields what a test gives it, when the test gives it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from types import TracebackType
from typing import Self

from optrading.collection.feeds.base import FeedError
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
        self._script: asyncio.Queue[Chain | FeedError | None] = asyncio.Queue()

    def give(self, *chains: Chain) -> None:
        """Yield these next; a chain that the reader said it has is left out, as every feed does."""
        for chain in chains:
            self._script.put_nowait(chain)

    def end(self) -> None:
        """Have nothing more after what was given."""
        self._script.put_nowait(None)

    def fail(self, message: str) -> None:
        """Raise FeedError after what was given."""
        self._script.put_nowait(FeedError(message))

    async def chains(self, resume: Mapping[str, datetime]) -> AsyncIterator[Chain]:
        """Yield what is given, in that order, until the end."""
        self.resume = dict(resume)
        while True:
            step = await self._script.get()
            if step is None:
                return
            if isinstance(step, FeedError):
                raise step
            durable = resume.get(step.index)
            if durable is None or step.event_time > durable:
                yield step

    async def __aenter__(self) -> Self:
        """Open the feed; it holds nothing."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the feed."""
