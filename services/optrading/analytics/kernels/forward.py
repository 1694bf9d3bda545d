"""The forward of an expiry, read off the option prices themselves by put-call parity.

Every strike with both prices gives one estimate, f = K + (C - P) / discount. Estimates differ by noise: spreads, and
deep legs that last traded long ago. They are joined by Tukey's biweight, which trusts tight quotes most and gives no
weight at all to estimates far outside of their own spread. Spot is the fallback, never mixed in, and the answer
says so.

Source: H. R. Stoll (1969), "The relationship between put and call option prices", J. Finance 24, for parity;
A. E. Beaton and J. W. Tukey (1974), "The fitting of power series", Technometrics 16, for the biweight.
"""

import math
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from .arrays import Bools, Floats, columns_of_equal_length

# Two prices can agree by accident; three that agree are evidence.
_FEWEST_PAIRS = 3
# Options are quoted in ticks of 0.05: no pair of prices is known better than to one tick.
_TICK_INR = 0.05
# Without quotes nothing says how old a last price is. Near the money both legs trade all the time; further out one leg
# is deep in the money and as stale as the forward has moved since. Of the floors and slopes tried on a chain that has
# both, these bring the forward of its last prices nearest to the forward of its quotes.
_LAST_PRICE_FLOOR = 1e-4
_LAST_PRICE_STALENESS = 0.02
# Beyond this many scales an estimate has no weight. Honest quotes lie within one.
_CUTOFF = 3.0
# The iteration settles in 3 to 6 rounds; the cap only bounds it.
_MOST_ROUNDS = 25
# Median absolute deviation to standard deviation of a normal distribution.
_MEDIAN_TO_DEVIATION = 1.4826


class ForwardSource(IntEnum):
    """How the forward of an expiry was found.

    Attributes:
        PARITY: From put-call parity over the strikes.
        SPOT_CARRY: From spot and the rate, spot / discount, because too few pairs of prices were there or agreed.
            Dividends are not in it.
        UNAVAILABLE: There is none: too few pairs and no spot.
    """

    PARITY = 1
    SPOT_CARRY = 2
    UNAVAILABLE = 3


@dataclass(frozen=True, slots=True)
class Forward:
    """The forward of one expiry and what it stands on.

    Attributes:
        forward_inr: Rupees; NaN when unavailable.
        source: Where it is from.
        pairs: Strikes whose estimate has weight in it; 0 unless from parity.
        residual_inr: Weighted root mean square distance of those estimates from it, rupees; NaN unless from parity.
    """

    forward_inr: float
    source: ForwardSource
    pairs: int
    residual_inr: float


def parity_forward(
    strike_inr: Floats,
    call_price_inr: Floats,
    put_price_inr: Floats,
    call_half_spread_inr: Floats,
    put_half_spread_inr: Floats,
    discount: float,
    spot_inr: float,
) -> Forward:
    """Find the forward of one expiry.

    Args:
        strike_inr: K, shape (N,), rupees, > 0, in any order.
        call_price_inr: Price of the call, shape (N,), rupees; NaN, zero or less is missing.
        put_price_inr: Price of the put, likewise.
        call_half_spread_inr: Half of ask minus bid where the price is their middle, shape (N,), rupees, >= 0; NaN where
            the price is a last price.
        put_half_spread_inr: The same for the put.
        discount: exp(-rate * years), > 0.
        spot_inr: Value of the index, rupees; used only for the fallback; NaN, zero or less is unknown.

    Returns:
        The forward from parity when at least three strikes have both prices and agree; otherwise spot / discount;
        otherwise NaN. NaN in a row takes that strike out only.

    Raises:
        ValueError: the columns differ in length, or `discount` is not positive and finite.
    """
    if not (discount > 0 and math.isfinite(discount)):
        raise ValueError(f"discount is {discount}, must be positive and finite")
    strike, call, put, call_half, put_half = columns_of_equal_length(
        strike_inr=strike_inr,
        call_price_inr=call_price_inr,
        put_price_inr=put_price_inr,
        call_half_spread_inr=call_half_spread_inr,
        put_half_spread_inr=put_half_spread_inr,
    )
    # absurd prices overflow on the way to being left out
    with np.errstate(all="ignore"):
        estimate = strike + (call - put) / discount
        usable = (strike > 0) & (call > 0) & (put > 0) & np.isfinite(estimate)
        if np.count_nonzero(usable) < _FEWEST_PAIRS:
            return _spot_carry(discount, spot_inr)
        strike, estimate = strike[usable], estimate[usable]
        half_spread = (call_half[usable] + put_half[usable]) / discount
        unquoted = ~(np.isfinite(half_spread) & (half_spread >= 0))
        scale = np.where(unquoted, _scale_of_last_prices(strike, estimate), np.maximum(half_spread, _TICK_INR))
        forward, weight = _biweight(estimate, scale)
        kept = weight > 0
        pairs = int(np.count_nonzero(kept))
        if pairs < _FEWEST_PAIRS or not (forward > 0 and math.isfinite(forward)):
            return _spot_carry(discount, spot_inr)
        residual = math.sqrt(float(np.average((estimate[kept] - forward) ** 2, weights=weight[kept])))
        return Forward(forward, ForwardSource.PARITY, pairs, residual)


def _spot_carry(discount: float, spot_inr: float) -> Forward:
    """Fall back on spot, or on nothing."""
    if spot_inr > 0 and math.isfinite(spot_inr):
        return Forward(spot_inr / discount, ForwardSource.SPOT_CARRY, 0, math.nan)
    return Forward(math.nan, ForwardSource.UNAVAILABLE, 0, math.nan)


def _scale_of_last_prices(strike: Floats, estimate: Floats) -> Floats:
    """Guess the error of an estimate from two last prices: a floor, growing with the distance from the money."""
    middle = float(np.median(estimate))
    floor = max(_LAST_PRICE_FLOOR * abs(middle), _TICK_INR)
    scale: Floats = floor + _LAST_PRICE_STALENESS * np.abs(strike - middle)
    return scale


def _biweight(estimate: Floats, scale: Floats) -> tuple[float, Floats]:
    """Give the location and the final weights. Starts from the weighted median, which half of the weight cannot move.

    Scales are widened, never narrowed, when the estimates scatter more than their spreads say, so that spreads which
    are too good to be true do not shut out all neighbours.
    """
    precision = 1 / (scale * scale)
    location = _weighted_median(estimate, precision)
    widened = max(1.0, _MEDIAN_TO_DEVIATION * _weighted_median(np.abs(estimate - location) / scale, precision))
    weight = precision
    for _ in range(_MOST_ROUNDS):
        distance = (estimate - location) / (_CUTOFF * widened * scale)
        inside: Bools = np.abs(distance) < 1
        weight = np.where(inside, precision * (1 - distance * distance) ** 2, 0.0)
        total = float(weight.sum())
        if not total > 0:
            break
        moved = float(weight @ estimate) / total
        settled = abs(moved - location) <= 1e-12 * abs(moved)
        location = moved
        if settled:
            break
    return location, weight


def _weighted_median(values: Floats, weights: Floats) -> float:
    """Give the smallest value at which at least half of the weight is reached."""
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(reached, 0.5 * reached[-1])])
