"""From what a feed has to what is wanted: active strikes around the money, and the buckets of each expiry."""

from __future__ import annotations

from dataclasses import replace

from optrading.market.buckets import buckets_of
from optrading.market.chain import Chain, ExpiryChain
from optrading.market.clock import trading_date
from optrading.market.strikes import atm_offsets
from optrading.market.window import Mask, StrikeWindow, WindowShape

ALL_STRIKES = WindowShape(None)


class Shaper:
    """Shapes the chains of every index; remembers where each one's window stands."""

    def __init__(self, window: WindowShape = ALL_STRIKES) -> None:
        """Select by `window`."""
        self._window = window
        self._windows: dict[str, StrikeWindow] = {}

    def shape(self, chain: Chain) -> Chain:
        """Return `chain` with its active strikes, their offsets along the listed ladder, and its buckets.

        `atm_offset` counts from the strike that is nearest to the spot now, also while the window still stands around
        the one before.
        """
        window = self._windows.setdefault(chain.index, StrikeWindow(self._window))
        listed = {expiry.expiry: expiry.strike_inr for expiry in chain.expiries}
        active = window.update(chain.event_time, chain.spot_inr, listed)
        buckets = buckets_of(list(listed), trading_date(chain.event_time))
        return replace(
            chain,
            expiries=tuple(
                _shape_expiry(expiry, chain.spot_inr, active[expiry.expiry], buckets[expiry.expiry])
                for expiry in chain.expiries
            ),
        )


def _shape_expiry(expiry: ExpiryChain, spot_inr: float, active: Mask, buckets: tuple[str, ...]) -> ExpiryChain:
    shaped = replace(expiry, atm_offset=atm_offsets(expiry.strike_inr, spot_inr), buckets=buckets)
    return shaped if active.all() else shaped.take(active)
