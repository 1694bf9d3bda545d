"""Implied volatility: the number that makes Black (1976) give the price seen, to the last digits of a float.

The price is reduced to b, the normalised time value of the option out of the money at that strike, and b(x, s) = b is
solved for s by a fixed number of steps, the same for all legs, so that whole chains go through numpy at once:

- lower half, b <= b_max / 2: the objective (-ln b)^(-1/2) is nearly linear in s there; two third-order Householder
  steps, then one Halley step on ln b;
- upper half: the objective ln(b_max - b); two such steps, then one Newton step.

Source: after P. Jaeckel (2015), "Let's be rational", Wilmott 75, with our own objectives and starts; A. S. Householder
(1970), "The numerical treatment of a single nonlinear equation".
"""

import numpy as np
from scipy.special import erfcx, ndtri

from .arrays import BoolLike, Bools, Codes, FloatLike, Floats
from .normalised_black import SQRT_HALF, SQRT_TWO_PI, normalised_black, normalised_log_moneyness
from .status import LegStatus

# Legs solved at a time: their intermediate arrays stay in the processor's cache.
_LEGS_PER_BLOCK = 1024
# Growing the price to expiry and subtracting intrinsic rounds three times.
_ROUNDING = 4 * float(np.finfo(np.float64).eps)
_SMALLEST_NORMAL = float(np.finfo(np.float64).tiny)


def implied_vol(
    price_inr: FloatLike,
    forward_inr: FloatLike,
    strike_inr: FloatLike,
    years: FloatLike,
    rate_per_year: FloatLike,
    is_call: BoolLike,
) -> tuple[Floats, Codes]:
    """Solve Black (1976) for the volatility.

    Args:
        price_inr: Discounted price, rupees; NaN, zero or less is a leg without a price.
        forward_inr: F of the expiry, rupees, > 0; NaN when there is none.
        strike_inr: K, rupees, > 0.
        years: Time to 15:30 IST of the expiry day, years of 365 days; <= 0 is expired.
        rate_per_year: Continuously compounded, any sign.
        is_call: True for a call, False for a put.

        All are numbers or arrays that broadcast to one shape.

    Returns:
        `(vol, status)` in that shape: sigma per sqrt(year), > 0, and `LegStatus` codes as int8. The volatility is NaN
        exactly where the status is not `OK`. A bad row spoils that row only.

    Raises:
        ValueError: the shapes do not broadcast.
    """
    price, forward, strike, time, rate, call = np.broadcast_arrays(
        *(np.asarray(each, dtype=np.float64) for each in (price_inr, forward_inr, strike_inr, years, rate_per_year)),
        np.asarray(is_call, dtype=np.bool_),
    )
    shape = price.shape
    vol = np.full(price.size, np.nan)
    # hostile numbers overflow or divide by zero on the way to being refused by their status
    with np.errstate(all="ignore"):
        time_value, headroom, status = _classify(
            price.ravel(), forward.ravel(), strike.ravel(), time.ravel(), rate.ravel(), call.ravel()
        )
        solvable = np.flatnonzero(status == LegStatus.OK)
        for start in range(0, solvable.size, _LEGS_PER_BLOCK):
            block = solvable[start : start + _LEGS_PER_BLOCK]
            f, k = forward.ravel()[block], strike.ravel()[block]
            total_vol = _total_vol(f, k, time_value[block], headroom[block])
            vol[block] = total_vol / np.sqrt(time.ravel()[block])
    unsolved = (status == LegStatus.OK) & ~(np.isfinite(vol) & (vol > 0))
    status[unsolved] = LegStatus.NO_INFORMATION
    vol[unsolved] = np.nan
    return vol.reshape(shape), status.reshape(shape)


def _classify(
    price: Floats, forward: Floats, strike: Floats, time: Floats, rate: Floats, call: Bools
) -> tuple[Floats, Floats, Codes]:
    """Give each price its time value, what is left to the maximum (both in undiscounted rupees), and a status."""
    grown = price * np.exp(rate * time)
    intrinsic = np.maximum(np.where(call, forward - strike, strike - forward), 0.0)
    time_value = grown - intrinsic
    headroom = np.minimum(forward, strike) - time_value
    # out of the money nothing is subtracted, so even the smallest price carries information
    rounding = np.where(intrinsic > 0, _ROUNDING * grown, 0.0)
    usable = np.isfinite(price) & np.isfinite(grown) & np.isfinite(forward) & np.isfinite(strike) & np.isfinite(time)
    usable &= (forward > 0) & (strike > 0) & (time_value / np.sqrt(forward) / np.sqrt(strike) < np.inf)
    # ascending precedence: a later line overrules the earlier ones
    status = np.full(price.size, LegStatus.OK, dtype=np.int8)
    status[headroom <= _ROUNDING * grown] = LegStatus.ABOVE_MAXIMUM
    status[time_value <= rounding] = LegStatus.NO_INFORMATION
    status[time_value < -rounding] = LegStatus.BELOW_INTRINSIC
    status[~usable] = LegStatus.NO_INFORMATION
    status[~(price > 0)] = LegStatus.NO_TRADE
    status[time <= 0] = LegStatus.EXPIRED
    return time_value, headroom, status


def _total_vol(forward: Floats, strike: Floats, time_value: Floats, headroom: Floats) -> Floats:
    """Solve for s = vol * sqrt(years); NaN where the normalised value is too small for a float to hold."""
    x = normalised_log_moneyness(forward, strike)
    root_forward, root_strike = np.sqrt(forward), np.sqrt(strike)
    value = time_value / root_forward / root_strike
    value[value < _SMALLEST_NORMAL] = np.nan
    missing = headroom / root_forward / root_strike
    s = np.full_like(x, np.nan)
    in_lower_half = time_value <= headroom
    lower, upper = np.flatnonzero(in_lower_half), np.flatnonzero(~in_lower_half)
    if lower.size:
        s[lower] = _solve_lower(x[lower], value[lower])
    if upper.size:
        s[upper] = _solve_upper(x[upper], missing[upper])
    return s


def _solve_lower(x: Floats, value: Floats) -> Floats:
    """Solve b(x, s) = value <= b_max / 2."""
    target = 1 / np.sqrt(-np.log(value))
    # exact in the limits of a far tail and of the money
    s = -x * SQRT_HALF * target + SQRT_TWO_PI * value
    for _ in range(2):
        h, t = x / s, 0.5 * s
        difference = erfcx((h + t) * -SQRT_HALF) - erfcx((t - h) * SQRT_HALF)
        # -ln b and b'/b without b itself, which may be too small for a float
        minus_log = 0.5 * (h * h + t * t) - np.log(0.5 * difference)
        ratio = (2 / SQRT_TWO_PI) / difference
        root = np.sqrt(minus_log)
        second, third = _slope_ratios(h, s)
        first_power, second_power = 1.5 / minus_log, 3.75 / (minus_log * minus_log)
        of_log_2 = second - ratio
        of_log_3 = third + ratio * (2 * ratio - 3 * second)
        newton = (target - 1 / root) * (2 * minus_log * root) / ratio
        step = _householder(
            newton,
            of_log_2 + first_power * ratio,
            of_log_3 + ratio * (3 * first_power * of_log_2 + second_power * ratio),
        )
        # far from the root a step may overshoot; it never needs to more than treble s
        s = np.clip(s + step, 0.3 * s, 3 * s)
    black = normalised_black(x, s)
    error = value - black.value
    newton = error / black.slope * (1 - 0.5 * error / black.value)
    h = x / s
    curvature = h * h / s - 0.25 * s - black.slope / black.value
    step = newton / (1 + 0.5 * curvature * newton)
    # where b has underflowed the steps before have already converged
    polished: Floats = s + np.where(np.isfinite(step), step, 0.0)
    return polished


def _solve_upper(x: Floats, missing: Floats) -> Floats:
    """Solve b_max - b(x, s) = missing < b_max / 2."""
    target = np.log(missing)
    quantile = ndtri(0.5 * missing * np.exp(-0.5 * x))
    # exact at the money, where b_max - b = 2 N(-s/2)
    s = np.sqrt(-2 * x + 4 * quantile * quantile)
    for _ in range(2):
        h, t = x / s, 0.5 * s
        total = erfcx((h + t) * SQRT_HALF) + erfcx((t - h) * SQRT_HALF)
        ratio = (2 / SQRT_TWO_PI) / total
        second, third = _slope_ratios(h, s)
        newton = (np.log(0.5 * total) - 0.5 * (h * h + t * t) - target) / ratio
        s = s + _householder(newton, second + ratio, third + ratio * (3 * second + 2 * ratio))
    h, t = x / s, 0.5 * s
    gauss = np.exp(-0.5 * (h * h + t * t))
    total = 0.5 * gauss * (erfcx((h + t) * SQRT_HALF) + erfcx((t - h) * SQRT_HALF))
    polished: Floats = s + (total - missing) / (gauss / SQRT_TWO_PI)
    return polished


def _slope_ratios(h: Floats, s: Floats) -> tuple[Floats, Floats]:
    """Give b''/b' and b'''/b' of the normalised Black formula; h is x/s."""
    second = h * h / s - 0.25 * s
    third = second * second - 3 * (h / s) ** 2 - 0.25
    return second, third


def _householder(newton: Floats, second: Floats, third: Floats) -> Floats:
    """Sharpen a Newton step by f''/f' and f'''/f'; where the third-order step would turn round, Newton's is kept."""
    numerator = 1 + 0.5 * second * newton
    denominator = 1 + newton * (second + third * newton / 6)
    step: Floats = np.where((numerator > 0) & (denominator > 0), newton * numerator / denominator, newton)
    return step
