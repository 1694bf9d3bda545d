"""The one shape of every feed: whole chains in the order of time, resumable, with one kind of error."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Protocol, Self

from optrading.market.chain import Chain
from optrading.market.gaps import Interruption

FeedItem = Chain | Interruption
"""What a feed yields: a chain, or that something is missing (and, later, that it no longer is)."""


class FeedError(Exception):
    """A feed cannot be opened or cannot go on; the text is one line for the user: what is wrong, what is allowed."""


class Feed(Protocol):
    """A source of option chains. Use as `async with`; leaving releases whatever the feed holds."""

    @property
    def name(self) -> str:
        """Return the kind of feed, such as `replay`; every chain carries it as its `source`."""
        ...

    @property
    def identity(self) -> str:
        """Return what a resume position belongs to: it changes when the same instants would hold other chains."""
        ...

    @property
    def indices(self) -> tuple[str, ...]:
        """Return the symbols of the indices this feed brings, each once."""
        ...

    def select(self, indices: Collection[str]) -> None:
        """Bring only these of `indices` from now on; until the first call, all of them.

        Chains of others may still come that were on their way. An index that is selected again comes with its present.
        """
        ...

    def chains(self, resume: Mapping[str, datetime]) -> AsyncIterator[FeedItem]:
        """Yield chains with every listed expiry and strike, in the order of their event times.

        Buckets are left empty and strikes are not selected: that is collection's work. `atm_offset` walks the listed
        strikes of each expiry.

        Args:
            resume: Event time of the last chain that is already durable, by index; such chains do not come again. An
                index that is not in it comes from the beginning.

        Yields:
            Chains whose `receive_time` is the present of the feed's clock, and, where the feed knows that something is
            missing, an `Interruption` when that begins and another one when it ends. One item is made at a time, when
            it is asked for: a slow reader slows the feed down, and nothing queues up. The end of the iterator means
            that the feed has nothing more. Cancellation leaves nothing behind.

        Raises:
            FeedError: The feed cannot go on.
        """
        ...

    async def history(self, index: str, since: datetime, until: datetime) -> Sequence[Chain]:
        """Return what the feed's source remembers of an interval that was missed.

        Args:
            index: Index symbol.
            since: Event time after which chains are wanted, exclusive.
            until: Event time before which chains are wanted, exclusive.

        Returns:
            Chains in the order of their event times, as many and as exact as the source has them (such as one a
            minute, without quotes). Empty when it has none.

        Raises:
            FeedError: The source cannot be asked now.
        """
        ...

    async def __aenter__(self) -> Self:
        """Open the feed."""
        ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release what the feed holds."""
        ...
