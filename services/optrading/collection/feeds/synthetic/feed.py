"""The synthetic feed: one chain per index at every cut of the clock, for ever."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Self

from optrading.collection.feeds.base import FeedError
from optrading.collection.feeds.synthetic.market import SOURCE, SyntheticMarket
from optrading.collection.feeds.synthetic.noise import MICROS_PER_SECOND
from optrading.collection.feeds.synthetic.underlyings import UNDERLYINGS
from optrading.common.clock import Clock
from optrading.market.chain import Chain
from optrading.market.codec import from_micros, to_micros


class SyntheticFeed:
    """Shows a made-up market as it is now; see `optrading.collection.feeds.base.Feed`.

    Event times are the clock's instants truncated to whole cut intervals since 1970 UTC. Two feeds of one seed agree
    on every instant that both have. A reader that is late misses instants; what it gets is never old.
    """

    name = SOURCE

    def __init__(
        self, *, seed: int = 1, clock: Clock, indices: Sequence[str] = (), cut_interval_s: float = 1.0
    ) -> None:
        """Make the feed.

        Args:
            seed: Which market.
            clock: Tells what now is, and waits for the next cut.
            indices: Symbols to bring, each once; all six when empty.
            cut_interval_s: Time between two chains of an index, seconds, > 0.

        Raises:
            FeedError: An index is unknown, or the interval is not positive.
        """
        unknown = [symbol for symbol in indices if symbol not in UNDERLYINGS]
        if unknown:
            raise FeedError(f"unknown index {', '.join(unknown)}; the synthetic market has {', '.join(UNDERLYINGS)}")
        self._cut_micros = round(cut_interval_s * MICROS_PER_SECOND)
        if self._cut_micros < 1:
            raise FeedError(f"a cut interval of {cut_interval_s:g} s is too short; allowed: 1 microsecond and more")
        self._market = SyntheticMarket(seed)
        self._seed = seed
        self._clock = clock
        self._indices = tuple(symbol for symbol in UNDERLYINGS if not indices or symbol in indices)
        self._selected: Collection[str] = self._indices

    @property
    def identity(self) -> str:
        """Return a name of the market: its seed."""
        return f"{self.name}-{self._seed}"

    @property
    def indices(self) -> tuple[str, ...]:
        """Return the indices this feed brings."""
        return self._indices

    def select(self, indices: Collection[str]) -> None:
        """Bring only these from the next cut on."""
        self._selected = frozenset(indices)

    async def chains(self, resume: Mapping[str, datetime]) -> AsyncIterator[Chain]:
        """Yield the chains of every cut from now on; an instant that `resume` says is durable is left out."""
        latest = {symbol: to_micros(instant) for symbol, instant in resume.items()}
        while True:
            cut = to_micros(self._clock.now()) // self._cut_micros * self._cut_micros
            for symbol in self._indices:
                if symbol in self._selected and cut > latest.get(symbol, -1):
                    latest[symbol] = cut
                    yield self._market.chain(symbol, from_micros(cut), self._clock.now())
            # Chains take time, too: ask the clock again. Late: the newest cut at once, after other tasks had a turn.
            # Early, because timers are: the rest of the wait. A clock that was set back is waited for, cut by cut.
            now = to_micros(self._clock.now())
            late = now >= cut + self._cut_micros
            await self._clock.sleep(0.0 if late else (self._cut_micros - now % self._cut_micros) / MICROS_PER_SECOND)

    async def history(self, index: str, since: datetime, until: datetime) -> Sequence[Chain]:
        """Return nothing: an instant that was missed is gone, as in a real market."""
        return ()

    async def __aenter__(self) -> Self:
        """Open the feed."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the feed; it holds nothing."""
