"""Bid, ask and last around a fair price: on the tick, never crossed, wider where less is traded."""

from __future__ import annotations

import numpy as np

from optrading.market.chain import Floats

TICKS_PER_RUPEE = 20.0
"""Prices are multiples of 0.05. Whole ticks divided by 20 are the nearest doubles; multiplied by 0.05 they are not."""

_WIDEST_AT_DEVIATIONS = 8.0


def half_spread_inr(fair_inr: Floats, deviations: Floats, illiquidity: float) -> Floats:
    """Return half the distance of bid and ask before rounding, rupees, > 0, of the broadcast shape.

    Args:
        fair_inr: Fair price, rupees, >= 0.
        deviations: Distance of the strike from the money, standard deviations to expiry; either sign.
        illiquidity: 1 for the most traded index, more for others.
    """
    far = np.minimum(np.abs(deviations), _WIDEST_AT_DEVIATIONS)
    half: Floats = 0.5 / TICKS_PER_RUPEE * (1.0 + 0.5 * far) + 0.001 * illiquidity * fair_inr * (1.0 + 0.25 * far)
    return half


def quote(fair_inr: Floats, half_inr: Floats) -> tuple[Floats, Floats]:
    """Return bid and ask on the tick, rupees; `fair_inr` lies between them. No bid below one tick: NaN."""
    bid_ticks = np.floor((fair_inr - half_inr) * TICKS_PER_RUPEE)
    ask_ticks = np.ceil((fair_inr + half_inr) * TICKS_PER_RUPEE)
    return np.where(bid_ticks >= 1, bid_ticks, np.nan) / TICKS_PER_RUPEE, ask_ticks / TICKS_PER_RUPEE


def last_trade_inr(fair_inr: Floats, bid_inr: Floats, ask_inr: Floats, place: Floats, traded: Floats) -> Floats:
    """Return the last traded price on the tick, inside the quote, rupees; NaN where nothing traded.

    Args:
        fair_inr: Fair price.
        bid_inr: Bid; NaN where there is none.
        ask_inr: Ask.
        place: From -1, at the bid, to 1, at the ask.
        traded: Contracts traded today.
    """
    low = np.where(np.isnan(bid_inr), 1.0 / TICKS_PER_RUPEE, bid_inr)
    wished = fair_inr + place * np.where(place > 0, ask_inr - fair_inr, fair_inr - low)
    ticks = np.rint(np.clip(wished, low, ask_inr) * TICKS_PER_RUPEE)
    return np.where(traded > 0, ticks / TICKS_PER_RUPEE, np.nan)
