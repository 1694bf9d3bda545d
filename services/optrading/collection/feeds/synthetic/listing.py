"""What is listed at an instant: expiries by the exchanges' present rules, and each one's ladder of strikes.

Exchange holidays are left out: this market never closes.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta

import numpy as np

from optrading.collection.feeds.synthetic.underlyings import Underlying
from optrading.market.chain import Floats
from optrading.market.clock import expiry_instant, trading_date
from optrading.market.indices import Index

_EXPIRY_WEEKDAY = {"NSE": 1, "BSE": 3}
"""Tuesday and Thursday, `date.weekday`."""
_WEEKLIES = 2
_MONTHLIES_BESIDE_WEEKLIES = 2
_MONTHLIES_ALONE = 3
_WEEK = timedelta(days=7)

_NEAR_DAYS = 35
"""Up to this many days ahead an expiry has the near strike distance."""
_ANCHOR_STEPS = 10
"""Ladders are centred on multiples of this many steps, so that they seldom change from one day to the next."""
_NARROW_HALF_LADDER = 30


def listed_expiries(index: Index, instant: datetime) -> tuple[date, ...]:
    """Return the listed expiries, ascending; one that has expired at 15:30 IST is delisted at once.

    An index with weeklies has the next two of them and two monthlies, any other three monthlies. A monthly expires
    on the last such weekday of its month.
    """
    day = trading_date(instant)
    if expiry_instant(day) <= instant:
        day += timedelta(days=1)
    weekday = _EXPIRY_WEEKDAY[index.exchange]
    first = day + timedelta(days=(weekday - day.weekday()) % 7)
    monthly_count = _MONTHLIES_BESIDE_WEEKLIES if index.lists_weeklies else _MONTHLIES_ALONE
    expiries = {first + week * _WEEK for week in range(_WEEKLIES)} if index.lists_weeklies else set()
    expiry, monthlies = first, 0
    while monthlies < monthly_count:
        if (expiry + _WEEK).month != expiry.month:
            expiries.add(expiry)
            monthlies += 1
        expiry += _WEEK
    return tuple(sorted(expiries))


def strike_ladder(underlying: Underlying, expiry: date, day: date, opening_spot_inr: float) -> Floats:
    """Return the strikes of an expiry that are listed on `day`, rupees, ascending.

    Args:
        underlying: The index.
        expiry: The expiry.
        day: Day in India.
        opening_spot_inr: Value of the index at the beginning of `day`.
    """
    days = (expiry - day).days
    near = days <= _NEAR_DAYS
    step = underlying.index.strike_step_inr if near else underlying.far_step_inr
    half = underlying.half_ladder if near else _NARROW_HALF_LADDER
    anchor = _ANCHOR_STEPS * step
    centre = round(opening_spot_inr / anchor) * anchor
    return centre + step * np.arange(-half, half + 1, dtype=np.float64)
