"""Price and first Greeks of European options on a forward (Black 1976), all in one pass.

The Greeks hold the forward, as a trader who hedges with the future does: delta is the change of the discounted price
per rupee of the forward, so call delta minus put delta is the discount factor; rho is the change through discounting
alone. Brokers' published Greeks of Indian index options follow this model on the parity forward with a rate of zero.

Source: F. Black (1976), "The pricing of commodity contracts", J. Financial Economics 3; J. C. Hull, "Options, futures,
and other derivatives", chapters on options on futures and on the Greek letters.
"""

from dataclasses import dataclass

import numpy as np

from .arrays import BoolLike, Bools, FloatLike, Floats
from .normalised_black import normalised_black, normalised_log_moneyness

DAYS_PER_YEAR = 365.0
_POINTS_PER_UNIT = 100.0


@dataclass(frozen=True, slots=True, eq=False)
class Greeks:
    """Price and Greeks per unit of the index, each of the shape of the inputs; NaN where an input is unusable.

    Attributes:
        price_inr: Discounted value, rupees, >= 0.
        delta: Change of price per rupee of the forward, discounted: from 0 to the discount factor for a call, from
            minus the discount factor to 0 for a put.
        gamma_per_inr: Change of delta per rupee of the forward, >= 0.
        theta_inr_per_day: Change of price per calendar day passing, forward held; mostly negative.
        vega_inr_per_vol_point: Change of price per volatility point (0.01), >= 0.
        rho_inr_per_rate_point: Change of price per percentage point (0.01) of the rate, forward held, <= 0.
    """

    price_inr: Floats
    delta: Floats
    gamma_per_inr: Floats
    theta_inr_per_day: Floats
    vega_inr_per_vol_point: Floats
    rho_inr_per_rate_point: Floats


def price_and_greeks(
    forward_inr: FloatLike,
    strike_inr: FloatLike,
    vol: FloatLike,
    years: FloatLike,
    rate_per_year: FloatLike,
    is_call: BoolLike,
) -> Greeks:
    """Price European options on a forward together with their first Greeks.

    Args:
        forward_inr: F of the expiry, rupees, > 0.
        strike_inr: K, rupees, > 0.
        vol: Sigma per sqrt(year), > 0; 0.15 is 15 %.
        years: Time to 15:30 IST of the expiry day, years of 365 days, > 0.
        rate_per_year: Continuously compounded, any sign.
        is_call: True for a call, False for a put.

        All are numbers or arrays that broadcast to one shape.

    Returns:
        Price and Greeks in that shape. A row with NaN, an infinity or a number out of its range is NaN in every
        column; it spoils that row only.

    Raises:
        ValueError: the shapes do not broadcast.
    """
    forward, strike, sigma, time, rate, call = np.broadcast_arrays(
        *(np.asarray(each, dtype=np.float64) for each in (forward_inr, strike_inr, vol, years, rate_per_year)),
        np.asarray(is_call, dtype=np.bool_),
    )
    usable = np.isfinite(rate)
    for each in (forward, strike, sigma, time):
        usable &= (each > 0) & np.isfinite(each)
    # what an infinity or a zero makes of the arithmetic is overwritten by NaN, so it need not be reported
    with np.errstate(all="ignore"):
        columns = _columns(
            np.where(usable, forward, np.nan).ravel(),
            strike.ravel(),
            sigma.ravel(),
            time.ravel(),
            rate.ravel(),
            call.ravel(),
        )
    return Greeks(*(column.reshape(forward.shape) for column in columns))


def _columns(
    forward: Floats, strike: Floats, sigma: Floats, time: Floats, rate: Floats, call: Bools
) -> tuple[Floats, Floats, Floats, Floats, Floats, Floats]:
    """Compute the columns of `Greeks`; a forward of NaN makes a row of NaN."""
    root_time = np.sqrt(time)
    s = sigma * root_time
    otm = normalised_black(normalised_log_moneyness(forward, strike), s)
    discount = np.exp(-rate * time)
    scale = discount * np.sqrt(forward) * np.sqrt(strike)
    # D * F * n(d1), the same for both sides
    density = scale * otm.slope

    # The option out of the money at this strike is the call when F < K. The one in the money follows from parity:
    # C - P = D (F - K), hence delta_C - delta_P = D.
    call_is_otm = forward < strike
    intrinsic = np.maximum(np.where(call, forward - strike, strike - forward), 0.0)
    price = discount * intrinsic + scale * otm.value
    otm_delta = scale / forward * np.where(call_is_otm, otm.near_part, -otm.far_part)
    parity_shift = np.where(call, ~call_is_otm, -1.0 * call_is_otm)
    delta = otm_delta + discount * parity_shift

    gamma = density / (forward * forward * s)
    theta = (rate * price - 0.5 * density * sigma / root_time) / DAYS_PER_YEAR
    vega = density * root_time / _POINTS_PER_UNIT
    rho = -time * price / _POINTS_PER_UNIT
    return price, delta, gamma, theta, vega, rho
