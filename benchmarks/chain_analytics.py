"""A whole chain from prices to volatilities and Greeks, beside the way most programs do it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.special import ndtr

from benchmarks.measure import Row, compare
from optrading.analytics.kernels.arrays import Bools
from optrading.analytics.kernels.black76 import price_and_greeks
from optrading.analytics.kernels.implied_vol import implied_vol
from optrading.market.chain import Floats

_FORWARD_INR = 24_600.0
_YEARS = 9 / 365
_RATE_PER_YEAR = 0.065
_PEER = "Newton on the price (numpy)"


def rows() -> Iterator[Row]:
    """Yield one row per chain size."""
    for legs in (10, 200, 2_000, 20_000):
        strike_inr = np.linspace(0.9, 1.1, legs) * _FORWARD_INR
        is_call = np.arange(legs) % 2 == 0
        vol = 0.12 + 0.8 * np.log(strike_inr / _FORWARD_INR) ** 2
        price_inr = price_and_greeks(_FORWARD_INR, strike_inr, vol, _YEARS, _RATE_PER_YEAR, is_call).price_inr

        def ours(price_inr: Floats = price_inr, strike_inr: Floats = strike_inr, is_call: Bools = is_call) -> None:
            found, _ = implied_vol(price_inr, _FORWARD_INR, strike_inr, _YEARS, _RATE_PER_YEAR, is_call)
            price_and_greeks(_FORWARD_INR, strike_inr, found, _YEARS, _RATE_PER_YEAR, is_call)

        def peer(price_inr: Floats = price_inr, strike_inr: Floats = strike_inr, is_call: Bools = is_call) -> None:
            found = _newton(price_inr, strike_inr, np.where(is_call, 1.0, -1.0))
            price_and_greeks(_FORWARD_INR, strike_inr, found, _YEARS, _RATE_PER_YEAR, is_call)

        yield compare(f"volatility and Greeks, {legs} legs", "legs", legs, ours, _PEER, peer)


def _newton(price_inr: Floats, strike_inr: Floats, sign: Floats) -> Floats:
    """Solve by Newton's method on the price from one guess for all, 1e-10 rupees, at most 30 steps."""
    discount, root = np.exp(-_RATE_PER_YEAR * _YEARS), np.sqrt(_YEARS)
    log_moneyness = np.log(_FORWARD_INR / strike_inr)
    vol = np.full_like(price_inr, 0.2)
    for _ in range(30):
        d1 = log_moneyness / (vol * root) + 0.5 * vol * root
        value = discount * sign * (_FORWARD_INR * ndtr(sign * d1) - strike_inr * ndtr(sign * (d1 - vol * root)))
        error = value - price_inr
        if np.max(np.abs(error)) < 1e-10:
            break
        slope = discount * _FORWARD_INR * root * np.exp(-0.5 * d1 * d1) / np.sqrt(2 * np.pi)
        vol = np.clip(vol - error / np.maximum(slope, 1e-12), 0.2 * vol, 5 * vol)
    return vol
