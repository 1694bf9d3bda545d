"""What is known of every listed contract now: columns over all of them, a row each, changed by ticks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from optrading.collection.feeds.kite.packets import Int64s, Ticks
from optrading.market.chain import Floats

NO_ROW = -1
"""In place of a row: the contract is not listed."""


class TokenBook:
    """The newest values of each token; older ones never overwrite newer ones. Every column has shape (N + 1,).

    The last row belongs to no token and stays unknown: `NO_ROW` reads it.
    """

    def __init__(self, tokens: Sequence[int]) -> None:
        """Know `tokens`, each once; nothing was heard of any."""
        self.tokens: Int64s = np.unique(np.asarray(tokens, dtype=np.int64))
        size = len(self.tokens) + 1
        self.last_inr = np.full(size, np.nan)
        self.bid_inr = np.full(size, np.nan)
        self.ask_inr = np.full(size, np.nan)
        self.volume_units = np.full(size, np.nan)
        self.open_interest_units = np.full(size, np.nan)
        self.exchange_s = np.zeros(size, dtype=np.int64)
        """When the exchange said the newest of it, seconds since 1970 UTC; 0 before the first tick."""
        self.duplicates = 0
        """Ticks that were older than what was known."""

    def rows_of(self, tokens: Int64s) -> NDArray[np.intp]:
        """Return the row of each token; `NO_ROW` where it is 0 or not known."""
        if not len(self.tokens):
            return np.full(len(tokens), NO_ROW, dtype=np.intp)
        place = np.minimum(np.searchsorted(self.tokens, tokens), len(self.tokens) - 1)
        return np.where(self.tokens[place] == tokens, place, NO_ROW).astype(np.intp)

    def apply(self, ticks: Ticks, now_s: int) -> NDArray[np.intp]:
        """Take the ticks of one frame.

        Args:
            ticks: In the order in which they came; of one token the one with the newest exchange time wins, of several
                with the same time the last.
            now_s: The present, seconds since 1970 UTC: the time of ticks that carry none.

        Returns:
            The rows that were changed; ticks of unknown tokens and old ones change none.
        """
        rows = self.rows_of(ticks.token)
        said_s = np.where(ticks.exchange_s > 0, ticks.exchange_s, np.maximum(now_s, self.exchange_s[rows]))
        fresh = (rows != NO_ROW) & (said_s >= self.exchange_s[rows])
        self.duplicates += int(np.count_nonzero((rows != NO_ROW) & ~fresh))
        order = np.flatnonzero(fresh)
        order = order[np.argsort(said_s[order], kind="stable")]
        rows = rows[order]
        self.exchange_s[rows] = said_s[order]
        for known, told in (
            (self.last_inr, _price(ticks.last)),
            (self.bid_inr, _price(ticks.depth_price[:, 0])),
            (self.ask_inr, _price(ticks.depth_price[:, 5])),
            (self.volume_units, ticks.volume),
            (self.open_interest_units, ticks.open_interest),
        ):
            known[rows] = told[order]
        return np.unique(rows)

    def take_over(self, other: TokenBook) -> None:
        """Take what `other` knows of the tokens that both have: the list of instruments has changed."""
        place = other.rows_of(self.tokens)
        both = np.flatnonzero(place != NO_ROW)
        for name in ("last_inr", "bid_inr", "ask_inr", "volume_units", "open_interest_units", "exchange_s"):
            getattr(self, name)[both] = getattr(other, name)[place[both]]


def _price(values: Floats) -> Floats:
    """Return `values` with NaN for 0: the broker sends 0 where nothing traded or nobody quotes."""
    return np.where(values == 0, np.nan, values)
