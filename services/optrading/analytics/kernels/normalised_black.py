"""The Black formula of an out-of-the-money option, in units of sqrt(forward * strike).

With x = -|ln(F/K)| and s = vol * sqrt(years) every undiscounted out-of-the-money price is sqrt(F*K) * b(x, s),

    b(x, s) = exp(x/2) N(x/s + s/2) - exp(-x/2) N(x/s - s/2),

and an in-the-money one is that plus intrinsic value. Two numbers instead of five, and none of the cancellation
that F*N(d1) - K*N(d2) suffers in the tails. Pricing and its inverse both stand on this one function.

Source: F. Black (1976), "The pricing of commodity contracts", J. Financial Economics 3; the normalisation is that of
P. Jaeckel (2015), "Let's be rational", Wilmott 75. The series is Taylor's for the ratio N(z)/n(z) about z = x/s.
"""

import math
from typing import NamedTuple

import numpy as np
from scipy.special import erfcx

from .arrays import Floats

SQRT_HALF = math.sqrt(0.5)
SQRT_TWO_PI = math.sqrt(2 * math.pi)

# Under this s the difference of two erfcx loses more digits than seven terms of the series leave out; past the
# bound on x the difference does not cancel enough to matter.
_SERIES_BELOW_TOTAL_VOL = 0.4
_SERIES_ABOVE_LOG_MONEYNESS = -2.0
_SERIES_TERMS = 7


class NormalisedBlack(NamedTuple):
    """Value of the out-of-the-money option and its parts, each of shape (N,), in units of sqrt(F*K).

    Attributes:
        value: b(x, s).
        slope: db/ds, the normalised vega.
        near_part: exp(x/2) N(x/s + s/2): F N(d1) of the call, K N(-d2) of the put.
        far_part: exp(-x/2) N(x/s - s/2): K N(d2) of the call, F N(-d1) of the put.
    """

    value: Floats
    slope: Floats
    near_part: Floats
    far_part: Floats


def normalised_log_moneyness(forward_inr: Floats, strike_inr: Floats) -> Floats:
    """Compute x = -|ln(F/K)| without losing digits near the money.

    Args:
        forward_inr: F, shape (N,), rupees, > 0.
        strike_inr: K, shape (N,), rupees, > 0.

    Returns:
        x <= 0, shape (N,). NaN in a row spoils that row only.
    """
    nearer = np.minimum(forward_inr, strike_inr)
    # the difference is exact when the two are within a factor of two, and log1p keeps its digits
    x: Floats = -np.log1p(np.abs(forward_inr - strike_inr) / nearer)
    return x


def normalised_black(x: Floats, s: Floats) -> NormalisedBlack:
    """Evaluate the normalised Black formula.

    Args:
        x: -|ln(F/K)|, shape (N,), <= 0.
        s: vol * sqrt(years), shape (N,), > 0.

    Returns:
        Value, slope and parts; the value is accurate to a few units in the last place, times (x/s)^2 far in the
        tail. NaN in a row spoils that row only; values under the smallest float are 0.
    """
    h, t = x / s, 0.5 * s
    gauss = np.exp(-0.5 * (h * h + t * t))
    slope = gauss / SQRT_TWO_PI
    # erfcx of a large negative argument overflows: there the reflected form is used
    tail = 0.5 * gauss * erfcx(np.abs(h + t) * SQRT_HALF)
    near_part = np.where(h + t > 0, np.exp(0.5 * x) - tail, tail)
    far_part = 0.5 * gauss * erfcx((t - h) * SQRT_HALF)
    value = near_part - far_part
    small = np.flatnonzero((s < _SERIES_BELOW_TOTAL_VOL) & (x > _SERIES_ABOVE_LOG_MONEYNESS))
    if small.size:
        value[small] = slope[small] * _value_over_slope(h[small], s[small])
    return NormalisedBlack(value, slope, near_part, far_part)


def _value_over_slope(h: Floats, s: Floats) -> Floats:
    """Sum b / (db/ds) = s * sum over k of Y^(2k+1)(h) (s/2)^2k / (2k+1)!, where Y = N/n is the Mills ratio at h = x/s.

    Its derivatives follow from Y' = 1 + h Y and Y^(n+1) = h Y^(n) + n Y^(n-1).
    """
    mills = (SQRT_TWO_PI / 2) * erfcx(h * -SQRT_HALF)
    odd = 1 + h * mills
    even = mills + h * odd
    square = 0.25 * s * s
    power = np.ones_like(s)
    total = odd.copy()
    for term in range(1, _SERIES_TERMS):
        odd = 2 * term * odd + h * even
        even = (2 * term + 1) * even + h * odd
        power = power * square
        total += odd * power / math.factorial(2 * term + 1)
    value: Floats = s * total
    return value
