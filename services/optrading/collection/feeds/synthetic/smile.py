"""An arbitrage-free surface of implied variance (SSVI) and the prices that follow from it."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr

from optrading.market.chain import Floats

RATE_PER_YEAR = 0.065
"""Continuously compounded; forwards grow by it, so put-call parity holds with it."""

SKEW = -0.30
"""rho: volatility rises towards low strikes."""
CURVATURE = 0.90
"""eta of the power law. No butterfly arbitrage needs eta (1 + |rho|) <= 2; here it is 1.17."""

_REVERSION_PER_YEAR = 6.0
_LONG_VOL_FACTOR = 1.10
"""Long-dated volatility over the index's usual one."""


def atm_variance(vol: float, vol_factor: float, years: Floats) -> Floats:
    """Return theta, the total implied variance at the money, shape (E,); it grows with `years`.

    Instantaneous variance goes from (vol * vol_factor)^2 now to its long-dated value, exponentially; theta is its
    integral, so that it cannot decrease.

    Args:
        vol: Usual volatility of the index, per sqrt(year).
        vol_factor: Short-dated volatility over the usual one, > 0.
        years: Time to expiry, shape (E,), > 0.
    """
    long_variance = (vol * _LONG_VOL_FACTOR) ** 2
    short_variance = (vol * vol_factor) ** 2
    fading_years = -np.expm1(-_REVERSION_PER_YEAR * years) / _REVERSION_PER_YEAR
    theta: Floats = long_variance * years + (short_variance - long_variance) * fading_years
    return theta


def total_variance(log_moneyness: Floats, theta: Floats) -> Floats:
    """Return the total implied variance w(k, theta), broadcast.

    w = theta/2 (1 + rho phi k + sqrt((phi k + rho)^2 + 1 - rho^2)), phi = eta / sqrt(theta (1 + theta)).

    Args:
        log_moneyness: k = ln(K/F).
        theta: Total variance at the money, > 0.

    Source: J. Gatheral, A. Jacquier (2014), "Arbitrage-free SVI volatility surfaces", Quantitative Finance 14,
    equation 4.1 with the power law of equation 4.5, gamma = 1/2; theorems 4.1 and 4.2 for absence of arbitrage.
    """
    scaled = CURVATURE / np.sqrt(theta * (1.0 + theta)) * log_moneyness
    variance: Floats = 0.5 * theta * (1.0 + SKEW * scaled + np.sqrt((scaled + SKEW) ** 2 + (1.0 - SKEW**2)))
    return variance


def forwards(spot_inr: float, years: Floats) -> Floats:
    """Return the forward of each expiry, rupees, shape (E,)."""
    forward: Floats = spot_inr * np.exp(RATE_PER_YEAR * years)
    return forward


def prices(forward_inr: Floats, strike_inr: Floats, variance: Floats, years: Floats) -> tuple[Floats, Floats]:
    """Return the prices of European calls and puts, rupees per unit, each of the broadcast shape.

    Args:
        forward_inr: F, rupees, > 0.
        strike_inr: K, rupees, > 0.
        variance: Total implied variance, > 0.
        years: Time to expiry, for discounting.

    Source: F. Black (1976), "The pricing of commodity contracts", J. Financial Economics 3.
    """
    deviation = np.sqrt(variance)
    d1 = np.log(forward_inr / strike_inr) / deviation + 0.5 * deviation
    d2 = d1 - deviation
    discount = np.exp(-RATE_PER_YEAR * years)
    call: Floats = discount * (forward_inr * ndtr(d1) - strike_inr * ndtr(d2))
    put: Floats = discount * (strike_inr * ndtr(-d2) - forward_inr * ndtr(-d1))
    return call, put
