"""Implied volatility: round trips, bounds, order, and hostile rows."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optrading.analytics.kernels.black76 import price_and_greeks
from optrading.analytics.kernels.implied_vol import implied_vol
from optrading.analytics.kernels.status import LegStatus

FORWARD_INR, YEARS, RATE = 25_000.0, 14 / 365, 0.065
DISCOUNT = math.exp(-RATE * YEARS)

forwards = st.floats(10.0, 100_000.0)
log_moneyness = st.floats(-0.4, 0.4)
total_vols = st.floats(0.02, 2.0)
years = st.floats(1 / 525_600, 5.0)
rates = st.floats(-0.05, 0.2)
hostile = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from([0.0, -0.0, 1.0, 25_000.0, 1e308, -1e308, 5e-324, math.nan, math.inf, -math.inf]),
)


def solve(price_inr: float, *, strike_inr: float = FORWARD_INR, is_call: bool = True) -> tuple[float, LegStatus]:
    """Solve one leg of the common expiry."""
    vol, status = implied_vol(price_inr, FORWARD_INR, strike_inr, YEARS, RATE, is_call)
    return float(vol), LegStatus(int(status))


@given(forwards, log_moneyness, total_vols, years, rates)
def test_pricing_and_solving_out_of_the_money_gives_the_volatility_back(
    forward: float, x: float, total_vol: float, years: float, rate: float
) -> None:
    strike, vol = forward * math.exp(x), total_vol / math.sqrt(years)
    is_call = strike >= forward
    price = price_and_greeks(forward, strike, vol, years, rate, is_call).price_inr
    solved, status = implied_vol(price, forward, strike, years, rate, is_call)
    if price > 1e-250:
        assert status == LegStatus.OK
        assert float(solved) == pytest.approx(vol, rel=1e-12)


@given(log_moneyness, st.floats(0.05, 1.0))
def test_call_and_put_of_one_strike_have_one_volatility(x: float, vol: float) -> None:
    strike = FORWARD_INR * math.exp(x)
    prices = price_and_greeks(FORWARD_INR, strike, vol, YEARS, RATE, np.array([True, False])).price_inr
    solved, status = implied_vol(prices, FORWARD_INR, strike, YEARS, RATE, np.array([True, False]))
    time_value = prices.min()
    if time_value > 1e-3:
        assert (status == LegStatus.OK).all()
        assert solved[0] == pytest.approx(solved[1], rel=1e-6)


@given(log_moneyness, st.lists(st.floats(1e-6, 1 - 1e-6), min_size=2, max_size=20, unique=True))
def test_a_higher_price_never_has_a_lower_volatility(x: float, fractions: list[float]) -> None:
    strike = FORWARD_INR * math.exp(x)
    intrinsic, top = max(FORWARD_INR - strike, 0.0), FORWARD_INR
    price = DISCOUNT * (intrinsic + np.sort(fractions) * (top - intrinsic))
    vol, status = implied_vol(price, FORWARD_INR, strike, YEARS, RATE, True)
    assert (status == LegStatus.OK).all()
    # two prices that differ in their last digits only may come out equal or cross by as little
    assert (np.diff(vol) >= -1e-13 * vol[1:]).all()


@given(st.lists(st.tuples(hostile, hostile, hostile, hostile, hostile, st.booleans()), min_size=1, max_size=8))
@settings(max_examples=300)
def test_whatever_comes_in_the_volatility_is_positive_exactly_where_the_status_is_ok(
    rows: list[tuple[float, float, float, float, float, bool]],
) -> None:
    columns = [np.array(column) for column in zip(*rows, strict=True)]
    vol, status = implied_vol(*columns)
    solved = status == LegStatus.OK
    assert status.dtype == np.int8
    assert set(status.tolist()) <= set(LegStatus)
    assert (np.isfinite(vol[solved]) & (vol[solved] > 0)).all()
    assert np.isnan(vol[~solved]).all()


@given(st.integers(0, 4), st.integers(0, 5), st.sampled_from([math.nan, math.inf, -math.inf, -1.0, 0.0]))
def test_a_bad_row_spoils_that_row_only(bad_row: int, bad_column: int, bad: float) -> None:
    price, strike = np.array([600.0, 560.0, 520.0, 480.0, 440.0]), np.arange(24_800.0, 25_300.0, 100.0)
    columns = [price, np.full(5, FORWARD_INR), strike, np.full(5, YEARS), np.full(5, RATE)]
    expected, _ = implied_vol(*columns, True)
    if bad_column < 5 and not (bad_column == 4 and math.isfinite(bad)):
        columns[bad_column] = columns[bad_column].copy()
        columns[bad_column][bad_row] = bad
        expected[bad_row] = math.nan
    vol, status = implied_vol(*columns, True)
    np.testing.assert_array_equal(vol, expected)
    np.testing.assert_array_equal(status == LegStatus.OK, np.isfinite(expected))


@pytest.mark.parametrize("price_inr", [math.nan, 0.0, -0.05, -math.inf])
def test_a_missing_price_is_no_trade(price_inr: float) -> None:
    assert solve(price_inr)[1] is LegStatus.NO_TRADE


@pytest.mark.parametrize("is_call", [True, False])
def test_a_price_under_intrinsic_is_below_intrinsic(is_call: bool) -> None:
    strike = 24_000.0 if is_call else 26_000.0
    assert solve(1_000.0 * DISCOUNT - 0.05, strike_inr=strike, is_call=is_call)[1] is LegStatus.BELOW_INTRINSIC


@pytest.mark.parametrize("is_call", [True, False])
@pytest.mark.parametrize("rounding", [1 - 2e-16, 1.0, 1 + 2e-16])
def test_a_price_of_intrinsic_to_rounding_determines_nothing(is_call: bool, rounding: float) -> None:
    strike = 24_000.0 if is_call else 26_000.0
    status = solve(1_000.0 * DISCOUNT * rounding, strike_inr=strike, is_call=is_call)[1]
    assert status is LegStatus.NO_INFORMATION


@pytest.mark.parametrize("over", [1.0, 1.0001, 1e6])
@pytest.mark.parametrize(("is_call", "strike_inr"), [(True, 24_000.0), (True, 26_000.0), (False, 24_000.0)])
def test_a_price_at_or_over_what_any_volatility_gives_is_above_maximum(
    is_call: bool, strike_inr: float, over: float
) -> None:
    maximum = DISCOUNT * (FORWARD_INR if is_call else strike_inr)
    assert solve(maximum * over, strike_inr=strike_inr, is_call=is_call)[1] is LegStatus.ABOVE_MAXIMUM


@pytest.mark.parametrize("years", [0.0, -1 / 365])
def test_without_time_left_a_leg_is_expired_whatever_its_price(years: float) -> None:
    _, status = implied_vol(np.array([100.0, math.nan, 1e9]), FORWARD_INR, 25_000.0, years, RATE, True)
    assert (status == LegStatus.EXPIRED).all()


@pytest.mark.parametrize("forward_inr", [math.nan, math.inf, 0.0, -25_000.0])
def test_without_a_forward_a_priced_leg_has_no_information(forward_inr: float) -> None:
    _, status = implied_vol(100.0, forward_inr, 25_000.0, YEARS, RATE, True)
    assert status == LegStatus.NO_INFORMATION


def test_no_legs_have_no_volatilities() -> None:
    vol, status = implied_vol(np.empty(0), FORWARD_INR, np.empty(0), YEARS, RATE, np.empty(0, dtype=bool))
    assert vol.shape == status.shape == (0,)


def test_blocks_join_without_a_seam() -> None:
    strike = np.linspace(20_000.0, 30_000.0, 2_500)
    is_call = strike >= FORWARD_INR
    price = price_and_greeks(FORWARD_INR, strike, 0.2, YEARS, RATE, is_call).price_inr
    vol, _ = implied_vol(price, FORWARD_INR, strike, YEARS, RATE, is_call)
    np.testing.assert_allclose(vol, 0.2, rtol=1e-12)


def test_shapes_broadcast_and_are_kept() -> None:
    vol, status = implied_vol(np.full((3, 1), 500.0), FORWARD_INR, np.full((1, 4), 25_000.0), YEARS, RATE, True)
    assert vol.shape == status.shape == (3, 4)


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="broadcast"):
        implied_vol(np.ones(3), FORWARD_INR, np.ones(4), YEARS, RATE, True)
