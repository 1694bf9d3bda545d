"""Implied volatility against 50 digits."""

import math
from itertools import product

import numpy as np
import pytest
from mpmath import mpf

from optrading.analytics.kernels.implied_vol import implied_vol
from optrading.analytics.kernels.status import LegStatus

from . import reference

FORWARD_INR = 25_000.0
YEARS = 0.25
LOG_MONEYNESS = (0.0, 1e-9, 1e-4, 0.004, 0.05, 0.2, 0.5, 1.0, 1.9, 2.1, 3.0, 6.0)
TOTAL_VOL = tuple(np.geomspace(1e-4, 10.0, 24))
LARGEST_ERROR = 4e-15


def relative_error(vol: float, exact: mpf) -> float:
    """Compare in 50 digits: a float quotient would round as much as is measured."""
    return float(abs(mpf(vol) / exact - 1))


def out_of_the_money_grid(rate_per_year: float) -> list[tuple[float, float, bool, float]]:
    """Make (price, strike, is_call, vol) from one tick of meaning to all but the maximum."""
    legs = []
    for x, side, total_vol in product(LOG_MONEYNESS, (1, -1), TOTAL_VOL):
        strike = FORWARD_INR * math.exp(side * x)
        is_call, vol = strike >= FORWARD_INR, total_vol / math.sqrt(YEARS)
        price = float(reference.price(FORWARD_INR, strike, vol, YEARS, rate_per_year, is_call=is_call))
        nearly_all = min(FORWARD_INR, strike) * math.exp(-rate_per_year * YEARS) * (1 - 1e-14)
        if 1e-280 < price < nearly_all:
            legs.append((price, strike, is_call, vol))
    return legs


@pytest.mark.parametrize("rate_per_year", [0.0, 0.065])
def test_every_price_out_of_the_money_gives_its_volatility_to_the_last_digits(rate_per_year: float) -> None:
    legs = out_of_the_money_grid(rate_per_year)
    price, strike, is_call, guess = (np.array(column) for column in zip(*legs, strict=True))
    vol, status = implied_vol(price, FORWARD_INR, strike, YEARS, rate_per_year, is_call)
    assert len(legs) > 350
    assert (status == LegStatus.OK).all()
    for row, (price_inr, strike_inr, call, _) in enumerate(legs):
        exact, condition = reference.implied_vol(
            price_inr, FORWARD_INR, strike_inr, YEARS, rate_per_year, guess[row], is_call=call
        )
        assert relative_error(vol[row], exact) <= LARGEST_ERROR * max(1.0, condition), legs[row]


@pytest.mark.parametrize("rate_per_year", [0.0, 0.065])
def test_in_the_money_nothing_is_lost_beyond_what_subtracting_intrinsic_must_lose(rate_per_year: float) -> None:
    for x, side, total_vol in product((0.004, 0.05, 0.2), (1, -1), (0.01, 0.05, 0.2, 0.8)):
        strike = FORWARD_INR * math.exp(side * x)
        is_call, guess = strike < FORWARD_INR, total_vol / math.sqrt(YEARS)
        price = float(reference.price(FORWARD_INR, strike, guess, YEARS, rate_per_year, is_call=is_call))
        grown = price * math.exp(rate_per_year * YEARS)
        time_value = grown - abs(FORWARD_INR - strike)
        if time_value < 1e-9 * grown:
            continue
        vol, status = implied_vol(price, FORWARD_INR, strike, YEARS, rate_per_year, is_call)
        exact, condition = reference.implied_vol(
            price, FORWARD_INR, strike, YEARS, rate_per_year, guess, is_call=is_call
        )
        assert status == LegStatus.OK
        assert relative_error(float(vol), exact) <= LARGEST_ERROR * max(1.0, condition * grown / time_value)


def test_a_price_of_ten_to_the_minus_300_still_has_a_volatility() -> None:
    vol, status = implied_vol(1e-300, 1.0, 1.5, 1.0, 0.0, True)
    exact, _ = reference.implied_vol(1e-300, 1.0, 1.5, 1.0, 0.0, float(vol), is_call=True)
    assert status == LegStatus.OK
    assert relative_error(float(vol), exact) <= LARGEST_ERROR
