"""Black (1976): price against 50 digits, Greeks against differences, parity, bounds, order."""

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mpmath import mp, mpf

from optrading.analytics.kernels.black76 import Greeks, price_and_greeks

from . import reference

COLUMNS = (
    "price_inr",
    "delta",
    "gamma_per_inr",
    "theta_inr_per_day",
    "vega_inr_per_vol_point",
    "rho_inr_per_rate_point",
)

forwards = st.floats(100.0, 100_000.0)
log_moneyness = st.floats(-1.0, 1.0)
vols = st.floats(0.01, 3.0)
years = st.floats(1 / 525_600, 5.0)
rates = st.floats(-0.05, 0.2)


def both_sides(forward: float, strike: float, vol: float, years: float, rate: float) -> Greeks:
    """Compute call and put of one strike; every column is (call, put)."""
    return price_and_greeks(forward, strike, vol, years, rate, np.array([True, False]))


@pytest.mark.parametrize("is_call", [True, False])
def test_prices_agree_with_50_digits_far_into_the_tail(is_call: bool) -> None:
    for x, total_vol, rate in product((-3.0, -0.5, -0.02, 0.0, 0.02, 0.5, 3.0), (0.005, 0.05, 0.39, 1.5), (0.0, 0.07)):
        strike, vol = 25_000.0 * math.exp(x), total_vol / 0.5
        exact = reference.price(25_000.0, strike, vol, 0.25, rate, is_call=is_call)
        if exact < 1e-290:
            continue
        price = float(price_and_greeks(25_000.0, strike, vol, 0.25, rate, is_call).price_inr)
        # rounding x/s costs about (x/s)^2 units in the last place, whatever is done
        assert float(abs(mpf(price) / exact - 1)) < 1e-15 * (10 + 2 * (x / total_vol) ** 2)


@pytest.mark.parametrize("is_call", [True, False])
@pytest.mark.parametrize("strike", [23_000.0, 24_990.0, 25_000.0, 25_300.0, 28_000.0])
def test_greeks_are_the_derivatives_of_the_price(strike: float, is_call: bool) -> None:
    forward, vol, years, rate = 25_000.0, 0.14, 21 / 365, 0.065

    with mp.workdps(50):

        def price(forward_: mpf = forward, vol_: mpf = vol, years_: mpf = years, rate_: mpf = rate) -> mpf:
            return reference.price(forward_, strike, vol_, years_, rate_, is_call=is_call)

        h = mpf(10) ** -15
        up, middle, down = price(forward_=forward + h), price(), price(forward_=forward - h)
        expected = {
            "price_inr": middle,
            "delta": (up - down) / (2 * h),
            "gamma_per_inr": (up - 2 * middle + down) / (h * h),
            "theta_inr_per_day": -(price(years_=years + h) - price(years_=years - h)) / (2 * h) / 365,
            "vega_inr_per_vol_point": (price(vol_=vol + h) - price(vol_=vol - h)) / (2 * h) / 100,
            "rho_inr_per_rate_point": (price(rate_=rate + h) - price(rate_=rate - h)) / (2 * h) / 100,
        }
    greeks = price_and_greeks(forward, strike, vol, years, rate, is_call)
    for name, value in expected.items():
        assert float(getattr(greeks, name)) == pytest.approx(float(value), rel=1e-11), name


@given(forwards, log_moneyness, vols, years, rates)
def test_put_call_parity_holds_in_price_and_every_greek(
    forward: float, x: float, vol: float, years: float, rate: float
) -> None:
    strike, discount = forward * math.exp(x), math.exp(-rate * years)
    greeks = both_sides(forward, strike, vol, years, rate)
    gap = discount * (forward - strike)
    tiny = 1e-13 * (forward + strike)
    assert -np.diff(greeks.price_inr)[0] == pytest.approx(gap, abs=tiny)
    assert -np.diff(greeks.delta)[0] == pytest.approx(discount, rel=1e-12)
    assert np.diff(greeks.gamma_per_inr)[0] == 0
    assert np.diff(greeks.vega_inr_per_vol_point)[0] == 0
    assert -np.diff(greeks.rho_inr_per_rate_point)[0] == pytest.approx(-years * gap / 100, abs=tiny)
    assert -np.diff(greeks.theta_inr_per_day)[0] == pytest.approx(rate * gap / 365, rel=1e-9, abs=1e-9 * forward)


@given(forwards, log_moneyness, vols, years, rates)
def test_prices_and_greeks_stay_inside_their_bounds(
    forward: float, x: float, vol: float, years: float, rate: float
) -> None:
    strike, discount = forward * math.exp(x), math.exp(-rate * years)
    greeks = both_sides(forward, strike, vol, years, rate)
    intrinsic = discount * np.maximum([forward - strike, strike - forward], 0.0)
    one_more = 1 + 1e-13
    assert (greeks.price_inr * one_more >= intrinsic).all()
    assert (greeks.price_inr <= discount * np.array([forward, strike]) * one_more).all()
    assert 0 <= greeks.delta[0] <= discount * one_more
    assert -discount * one_more <= greeks.delta[1] <= 0
    assert (greeks.gamma_per_inr >= 0).all()
    assert (greeks.vega_inr_per_vol_point >= 0).all()
    assert (greeks.rho_inr_per_rate_point <= 0).all()


@given(forwards, log_moneyness, st.floats(0.05, 1.0), st.floats(1.01, 3.0))
def test_price_rises_with_volatility(forward: float, x: float, vol: float, factor: float) -> None:
    strike = forward * math.exp(x)
    low, high = both_sides(forward, strike, vol, 0.1, 0.065), both_sides(forward, strike, vol * factor, 0.1, 0.065)
    assert (high.price_inr >= low.price_inr).all()


@given(forwards, st.floats(0.05, 1.0), years)
def test_over_the_strikes_calls_fall_puts_rise_and_both_are_convex(forward: float, vol: float, years: float) -> None:
    strike = forward * np.linspace(0.7, 1.3, 61)
    for is_call in (True, False):
        price = price_and_greeks(forward, strike, vol, years, 0.065, is_call).price_inr
        rounding = 1e-12 * forward
        assert (np.diff(price if is_call else -price) <= rounding).all()
        assert (np.diff(price, 2) >= -rounding).all()


@given(
    st.sampled_from(["forward", "strike", "vol", "years", "rate"]),
    st.sampled_from([math.nan, math.inf, -math.inf, 0.0, -1.0]),
    st.integers(0, 2),
)
def test_a_bad_row_is_nan_in_every_column_and_spoils_that_row_only(name: str, bad: float, row: int) -> None:
    if name == "rate" and math.isfinite(bad):
        return
    columns = {"forward": 25_000.0, "strike": 25_100.0, "vol": 0.15, "years": 0.05, "rate": 0.065}
    good = price_and_greeks(*columns.values(), True)
    arrays = {each: np.full(3, value) for each, value in columns.items()}
    arrays[name][row] = bad
    greeks = price_and_greeks(*arrays.values(), True)
    for column in COLUMNS:
        expected = np.full(3, float(getattr(good, column)))
        expected[row] = math.nan
        np.testing.assert_array_equal(getattr(greeks, column), expected)


def test_absurdly_large_volatility_gives_the_maximum_and_no_nan() -> None:
    greeks = both_sides(25_000.0, 20_000.0, 200.0, 1.0, 0.0)
    np.testing.assert_allclose(greeks.price_inr, [25_000.0, 20_000.0], rtol=1e-15)
    assert np.isfinite(greeks.theta_inr_per_day).all()


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="broadcast"):
        price_and_greeks(1.0, np.ones(3), np.ones(4), 1.0, 0.0, True)
