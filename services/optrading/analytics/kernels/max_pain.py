"""Max pain: the strike at which all option buyers together would be paid least at expiry."""

import math

import numpy as np

from .arrays import Floats, columns_of_equal_length


def max_pain(strike_inr: Floats, call_oi: Floats, put_oi: Floats) -> float:
    """Find the strike of least total payout, among the strikes given.

    The payout sum(call_oi * max(S - K, 0)) + sum(put_oi * max(K - S, 0)) is convex in the settlement S, and right of a
    strike it rises by the calls struck at or below it less the puts struck above it. So the first strike where that is
    not negative is the answer: sums of open interest, no products, hence ties are exact.

    Args:
        strike_inr: K, shape (N,), rupees, in any order; a row whose strike is NaN is left out.
        call_oi: Open interest of the call, shape (N,), units or contracts; what is NaN, infinite or negative is skipped
            as unknown.
        put_oi: The same for the put, in the same unit.

    Returns:
        Rupees; of several strikes with the least payout the lowest; NaN when there is no open interest at all.

    Raises:
        ValueError: the columns differ in length.
    """
    strike, calls, puts = columns_of_equal_length(strike_inr=strike_inr, call_oi=call_oi, put_oi=put_oi)
    order = np.argsort(strike, kind="stable")
    order = order[np.isfinite(strike[order])]
    strike, calls, puts = strike[order], _known_or_zero(calls[order]), _known_or_zero(puts[order])
    calls_at_or_below = np.cumsum(calls)
    # summed from the top, so that "no puts above" is exactly zero
    puts_above = np.cumsum(puts[::-1])[::-1] - puts
    if not strike.size or calls_at_or_below[-1] + puts.sum() == 0:
        return math.nan
    return float(strike[np.argmax(calls_at_or_below >= puts_above)])


def _known_or_zero(open_interest: Floats) -> Floats:
    """Make what is unknown weigh nothing."""
    known: Floats = np.where(np.isfinite(open_interest) & (open_interest > 0), open_interest, 0.0)
    return known
