"""When ticks become chains: at each cut of the exchange's clock, or when no more ticks come for a while."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from optrading.collection.feeds.kite.book import NO_ROW, TokenBook
from optrading.collection.feeds.kite.packets import Ticks
from optrading.collection.feeds.kite.view import IndexView
from optrading.market.chain import Chain


@dataclass(slots=True)
class _Pending:
    """What has come of one index since its last chain.

    Attributes:
        newest_s: Newest exchange time of any of its ticks, seconds since 1970 UTC.
        since: When the first tick came that is in no chain yet; None when there is none.
    """

    newest_s: int = 0
    since: datetime | None = None


class Cutter:
    """Cuts chains. What came in one interval of the exchange's clock is one chain, made when the next interval begins.

    The exchange's clock, not ours: the same ticks make the same chains, however fast they come. A chain is never made
    without a tick.
    """

    def __init__(self, views: Sequence[IndexView], book: TokenBook, cut: timedelta, source: str) -> None:
        """Cut the indices of `views` every `cut` of exchange time, at least a second: that is how exact it is."""
        self._views = list(views)
        self._book = book
        self._cut_s = max(1, round(cut.total_seconds()))
        self._patience = 2 * cut
        self._source = source
        self._pending = [_Pending() for _ in views]
        self._view_of_row = np.full(len(book.exchange_s), NO_ROW, dtype=np.int16)
        for number, view in enumerate(self._views):
            self._view_of_row[view.rows()] = number
        self.stale = np.zeros(len(book.exchange_s), dtype=np.bool_)
        """By row: what the book holds is from before its connection was lost."""

    def take(self, ticks: Ticks, now: datetime) -> list[Chain]:
        """Take a frame; return the chains that were complete before it."""
        now_s = int(now.timestamp())
        said_s = np.where(ticks.exchange_s > 0, ticks.exchange_s, now_s)
        of_view = self._view_of_row[self._book.rows_of(ticks.token)]
        chains = []
        for number in np.unique(of_view[of_view != NO_ROW]):
            pending = self._pending[number]
            newest_s = int(said_s[of_view == number].max())
            if pending.since is not None and newest_s // self._cut_s > pending.newest_s // self._cut_s:
                chains.append(self._make(int(number), now))
        changed = self._book.apply(ticks, now_s)
        self.stale[changed] = False
        view_of_changed = self._view_of_row[changed]
        for number in np.unique(view_of_changed[view_of_changed != NO_ROW]):
            pending = self._pending[number]
            newest_s = int(self._book.exchange_s[changed[view_of_changed == number]].max())
            pending.newest_s = max(pending.newest_s, newest_s)
            pending.since = pending.since or now
        return chains

    def flush(self, now: datetime, *, everything: bool = False) -> list[Chain]:
        """Return the chains whose ticks have waited for long enough, or all that have any."""
        return [
            self._make(number, now)
            for number, pending in enumerate(self._pending)
            if pending.since is not None and (everything or now - pending.since >= self._patience)
        ]

    def mark_stale(self, rows: NDArray[np.intp]) -> None:
        """Note that what is known of `rows` is from before their connection was lost."""
        self.stale[rows] = True

    def _make(self, number: int, now: datetime) -> Chain:
        pending = self._pending[number]
        pending.since = None
        return self._views[number].chain(pending.newest_s, now, self.stale, self._source)
