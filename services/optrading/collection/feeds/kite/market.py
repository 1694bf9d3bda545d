"""All that is listed and subscribed: instruments, the book, cuts, windows and places on connections. No I/O."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date, datetime, timedelta

import numpy as np
import structlog

from optrading.collection.feeds.kite.allocation import Allocation
from optrading.collection.feeds.kite.archive import Listing
from optrading.collection.feeds.kite.book import NO_ROW, TokenBook
from optrading.collection.feeds.kite.cutter import Cutter
from optrading.collection.feeds.kite.packets import Ticks
from optrading.collection.feeds.kite.settings import KiteMode, KiteSettings
from optrading.collection.feeds.kite.view import IndexView
from optrading.common.clock import Clock
from optrading.market.chain import Chain
from optrading.market.clock import trading_date
from optrading.market.window import StrikeWindow, WindowShape

log = structlog.get_logger()

_SOURCE = "kite"
_AHEAD = 1
"""Steps that the subscription reaches further than the window: a strike has its ticks before it is active."""


class KiteMarket:
    """The feed's knowledge; everything here returns at once."""

    def __init__(self, settings: KiteSettings, clock: Clock, cut_interval_s: float, window: WindowShape) -> None:
        """Know nothing yet."""
        self._symbols = settings.kite_symbols()
        self._timed = settings.kite_mode is KiteMode.FULL
        self._clock = clock
        self._cut = timedelta(seconds=max(1.0, cut_interval_s))
        self._shape = window.widened(_AHEAD)
        self._allocation = Allocation(settings.kite_connections, settings.kite_tokens_per_connection)
        self._held: list[frozenset[int]] = [frozenset()] * settings.kite_connections
        self._windows = {index: StrikeWindow(self._shape) for index in self._symbols}
        self._wanted: dict[str, list[tuple[float, int]]] = {}
        self._listing: Listing | None = None
        self._book = TokenBook([])
        self._views: dict[str, IndexView] = {}
        self._cutter = Cutter([], self._book, self._cut, _SOURCE)
        self._unplaced = 0
        self.selected: Collection[str] = ()
        """Indices that are subscribed."""

    @property
    def cut_s(self) -> float:
        """Return the time between two chains of an index, seconds."""
        return self._cut.total_seconds()

    def view(self, index: str) -> IndexView | None:
        """Return how `index` is seen; None while nothing of it is listed."""
        return self._views.get(index)

    def learn(self, listing: Listing) -> bool:
        """Take what is listed now; return whether it is other than before. What is known of tokens stays known."""
        tokens = {listing.index_tokens[index] for index in self._symbols}
        for index in self._symbols:
            for ladder in listing.instruments.ladders(index):
                tokens.update(ladder.call_token.tolist(), ladder.put_token.tolist())
        tokens.discard(0)
        if self._listing is not None and _same(self._listing, listing, self._symbols):
            return False
        book = TokenBook(sorted(tokens))
        book.take_over(self._book)
        views = {
            index: IndexView(index, listing.index_tokens[index], listing.instruments.ladders(index), book)
            for index in self._symbols
        }
        # What was pending is in the book, and comes with the next tick.
        self._listing, self._book, self._views = listing, book, views
        self._cutter = Cutter(list(views.values()), book, self._cut, _SOURCE)
        for index in self._symbols:
            self._follow(index, self._clock.now())
        return True

    def select(self, indices: Collection[str]) -> None:
        """Subscribe to these only."""
        self.selected = tuple(index for index in self._symbols if index in indices)

    def take(self, ticks: Ticks, now: datetime) -> list[Chain]:
        """Take a frame; return the chains that were complete before it."""
        if self._timed:
            # Before a connection's mode is set the broker sends quotes, which carry no time of the exchange: what they
            # say comes again at once, with it.
            ticks = ticks.take(ticks.exchange_s > 0)
        return self._cutter.take(ticks, now)

    def flush(self, now: datetime, *, everything: bool) -> list[Chain]:
        """Return the chains that have waited for long enough, or all that wait."""
        return self._cutter.flush(now, everything=everything)

    def follow_money(self, chain: Chain) -> bool:
        """Move the window of the chain's index; return whether other strikes are wanted now."""
        return self._follow(chain.index, chain.event_time)

    def _follow(self, index: str, instant: datetime) -> bool:
        view = self._views[index]
        # Of a recorded day everything has expired by our clock; its own is not known before its first tick.
        listed = view.listed(trading_date(instant)) or view.listed(date.min)
        active = self._windows[index].update(instant, view.spot_inr, listed)
        before = {token for _, token in self._wanted.get(index, ())}
        if self._shape.offsets is not None and np.isnan(view.spot_inr):
            active = {}  # without a spot there is no money to be near to: the index itself comes first
        self._wanted[index] = view.tokens(active)
        return before != {token for _, token in self._wanted[index]}

    def allocate(self) -> Sequence[frozenset[int]]:
        """Return the tokens of each connection, as they are wanted now."""
        wanted = sorted(pair for index in self.selected for pair in self._wanted.get(index, ()))
        self._held, unplaced = self._allocation.assign([token for _, token in wanted])
        if unplaced != self._unplaced:
            self._unplaced = unplaced
            if unplaced:
                log.warning("tokens_left_out", left_out=unplaced, capacity=self._allocation.capacity)
        return self._held

    def lose(self, number: int) -> list[str]:
        """Note that connection `number` is gone; return the indices that it carried something of."""
        rows = self._book.rows_of(np.array(sorted(self._held[number]), dtype=np.int64))
        self._cutter.mark_stale(rows[rows != NO_ROW])
        return self.carried(number)

    def carried(self, number: int) -> list[str]:
        """Return the indices that connection `number` carries something of."""
        return [index for index in self.selected if number in self.links_of(index)]

    def links_of(self, index: str) -> set[int]:
        """Return the connections that carry something of `index`."""
        tokens = {token for _, token in self._wanted.get(index, ())}
        return {number for number, held in enumerate(self._held) if not tokens.isdisjoint(held)}


def _same(one: Listing, other: Listing, indices: Sequence[str]) -> bool:
    for index in indices:
        before, after = one.instruments.ladders(index), other.instruments.ladders(index)
        if one.index_tokens[index] != other.index_tokens[index] or len(before) != len(after):
            return False
        for left, right in zip(before, after, strict=True):
            if (left.expiry, left.lot_size) != (right.expiry, right.lot_size):
                return False
            for name in ("strike_inr", "call_token", "put_token"):
                if not np.array_equal(getattr(left, name), getattr(right, name)):
                    return False
    return True
