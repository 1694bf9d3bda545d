"""The six indices of the synthetic market: where they stand, how they move together, how much is traded in them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from optrading.collection.feeds.synthetic.noise import BrownianPaths
from optrading.market.chain import Floats
from optrading.market.indices import INDICES, Index


@dataclass(frozen=True, slots=True)
class Underlying:
    """What is particular about one index; sizes are those of the real market in summer 2026, rounded.

    Attributes:
        index: Its name, exchange and strike step.
        level_inr: Value around which the index wanders, rupees.
        market: Volatility from the market that all share, per sqrt(year); 0.12 is 12 %.
        banks: Volatility from the banks' common movement.
        own: Volatility of its own.
        far_step_inr: Distance of strikes of expiries more than five weeks ahead, rupees.
        half_ladder: Strikes on each side of the money of a near expiry.
        open_interest_contracts: Calls of the nearest expiry, all strikes together; puts are as many.
        volume_contracts: The same of a whole day's volume.
        illiquidity: How much wider quotes are than those of NIFTY.
    """

    index: Index
    level_inr: float
    market: float
    banks: float
    own: float
    far_step_inr: float
    half_ladder: int
    open_interest_contracts: float
    volume_contracts: float
    illiquidity: float

    @property
    def vol(self) -> float:
        """Return the volatility of the index, per sqrt(year)."""
        return float(np.sqrt(self.market**2 + self.banks**2 + self.own**2))


UNDERLYINGS: dict[str, Underlying] = {
    underlying.index.symbol: underlying
    for underlying in (
        Underlying(INDICES["NIFTY"], 24_200.0, 0.120, 0.0, 0.020, 50.0, 50, 2.5e6, 6e7, 1.0),
        Underlying(INDICES["BANKNIFTY"], 56_000.0, 0.112, 0.075, 0.020, 100.0, 55, 6e5, 3e6, 1.3),
        Underlying(INDICES["FINNIFTY"], 26_300.0, 0.112, 0.065, 0.025, 100.0, 55, 4e4, 1.5e5, 3.0),
        Underlying(INDICES["MIDCPNIFTY"], 14_500.0, 0.115, 0.0, 0.085, 25.0, 55, 1.5e5, 5e5, 2.0),
        Underlying(INDICES["SENSEX"], 77_700.0, 0.118, 0.0, 0.025, 100.0, 55, 1.2e6, 3e7, 1.2),
        Underlying(INDICES["BANKEX"], 63_300.0, 0.110, 0.075, 0.030, 100.0, 55, 2e4, 6e4, 4.0),
    )
}
"""By symbol, in the order of `INDICES`."""

_VOL_PER_MARKET = -0.6
"""Change of log volatility per unit of the market's path: a market 1 % lower has about 5 % more volatility."""
_VOL_OWN = 0.35
"""Volatility of volatility that does not come from the market, per sqrt(year)."""


class Prices:
    """Where all indices and the volatility stand at an instant: a pure function of seed and time."""

    def __init__(self, seed: int) -> None:
        """Make the market of `seed`."""
        underlyings = tuple(UNDERLYINGS.values())
        count = len(underlyings)
        # Paths: market, banks, volatility, then one for each index.
        self._paths = BrownianPaths(seed, 3 + count)
        self._loadings = np.zeros((count, 3 + count))
        self._loadings[:, 0] = [underlying.market for underlying in underlyings]
        self._loadings[:, 1] = [underlying.banks for underlying in underlyings]
        self._loadings[:, 3:] = np.diag([underlying.own for underlying in underlyings])
        self._level_inr = np.array([underlying.level_inr for underlying in underlyings])
        self._row = {underlying.index.symbol: row for row, underlying in enumerate(underlyings)}
        # All indices of a cut ask for the same instant one after another.
        self._latest: tuple[int, Floats, float] | None = None

    def spot_inr(self, symbol: str, micros: int) -> float:
        """Return the value of an index at an instant (microseconds since 1970), rupees, to the paisa."""
        spots, _ = self._at(micros)
        return round(float(spots[self._row[symbol]]), 2)

    def vol_factor(self, micros: int) -> float:
        """Return how many times its usual value short-dated volatility has at an instant."""
        _, factor = self._at(micros)
        return factor

    def _at(self, micros: int) -> tuple[Floats, float]:
        if self._latest is None or self._latest[0] != micros:
            paths = self._paths.at(micros)
            spots = self._level_inr * np.exp(self._loadings @ paths)
            factor = float(np.exp(_VOL_PER_MARKET * paths[0] + _VOL_OWN * paths[2]))
            self._latest = (micros, spots, factor)
        return self._latest[1], self._latest[2]
