"""The forward from put-call parity: noise, stale legs, missing legs, and what it falls back on."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optrading.analytics.kernels.arrays import Floats
from optrading.analytics.kernels.black76 import price_and_greeks
from optrading.analytics.kernels.forward import ForwardSource, parity_forward

FORWARD_INR, YEARS, RATE = 25_037.0, 9 / 365, 0.065
DISCOUNT = math.exp(-RATE * YEARS)
STRIKE_INR = np.arange(22_000.0, 28_001.0, 50.0)
UNQUOTED = np.full(STRIKE_INR.size, math.nan)


def fair_prices(forward_inr: float = FORWARD_INR, strike_inr: Floats = STRIKE_INR) -> tuple[Floats, Floats]:
    """Price calls and puts of one expiry on a smile."""
    x = np.log(strike_inr / forward_inr)
    vol = 0.13 + 0.5 * np.maximum(x, 0) + 1.2 * np.maximum(-x, 0)
    call = price_and_greeks(forward_inr, strike_inr, vol, YEARS, RATE, True).price_inr
    put = price_and_greeks(forward_inr, strike_inr, vol, YEARS, RATE, False).price_inr
    return call, put


def half_spreads(price_inr: Floats) -> Floats:
    """Quote deep legs wide, as market makers do."""
    return 0.05 + 0.004 * price_inr * (1 + np.abs(STRIKE_INR - FORWARD_INR) / 400)


@given(st.floats(1_000.0, 90_000.0), st.integers(3, 40))
def test_fair_prices_give_their_forward_exactly(forward_inr: float, count: int) -> None:
    strike = forward_inr * np.linspace(0.9, 1.1, count)
    call, put = fair_prices(forward_inr, strike)
    tight = np.full(count, 0.05)
    found = parity_forward(strike, call, put, tight, tight, DISCOUNT, math.nan)
    assert found.source is ForwardSource.PARITY
    assert found.pairs == count
    assert found.forward_inr == pytest.approx(forward_inr, rel=1e-12)
    assert found.residual_inr < 1e-9 * forward_inr


def test_noisy_quotes_with_stale_deep_legs_give_the_forward_within_a_third_of_a_rupee() -> None:
    random = np.random.default_rng(5)
    call, put = fair_prices()
    call_half, put_half = half_spreads(call), half_spreads(put)
    errors, median_errors = [], []
    for _ in range(60):
        noisy_call = call + random.normal(0, 0.5, call.size) * call_half
        noisy_put = put + random.normal(0, 0.5, put.size) * put_half
        stale = (random.random(call.size) < 0.15) & (np.abs(STRIKE_INR - FORWARD_INR) > 600)
        noisy_call = np.where(stale, noisy_call + random.normal(0, 60, call.size), noisy_call)
        found = parity_forward(STRIKE_INR, noisy_call, noisy_put, call_half, put_half, DISCOUNT, math.nan)
        assert found.source is ForwardSource.PARITY
        errors.append(found.forward_inr - FORWARD_INR)
        median_errors.append(np.median(STRIKE_INR + (noisy_call - noisy_put) / DISCOUNT) - FORWARD_INR)
    root_mean_square = np.sqrt(np.mean(np.square(errors)))
    assert root_mean_square < 0.33
    assert root_mean_square < 0.5 * np.sqrt(np.mean(np.square(median_errors)))


def test_last_prices_without_quotes_are_trusted_near_the_money() -> None:
    random = np.random.default_rng(7)
    call, put = fair_prices()
    # the index moved up 150 since the deep legs traded, all of them to one side: a median follows them
    stale_call, stale_put = fair_prices(FORWARD_INR - 150)
    deep = np.abs(STRIKE_INR - FORWARD_INR) > 500
    call = np.where(deep, stale_call, call + random.normal(0, 1.0, call.size))
    put = np.where(deep, stale_put, put + random.normal(0, 1.0, put.size))
    usable = (call > 0) & (put > 0)
    found = parity_forward(STRIKE_INR, call, put, UNQUOTED, UNQUOTED, DISCOUNT, math.nan)
    median = np.median((STRIKE_INR + (call - put) / DISCOUNT)[usable])
    assert found.source is ForwardSource.PARITY
    assert abs(median - FORWARD_INR) > 100
    assert abs(found.forward_inr - FORWARD_INR) < 5


@given(st.lists(st.integers(0, STRIKE_INR.size - 1), max_size=20), st.sampled_from([math.nan, 0.0, -1.0, math.inf]))
def test_a_missing_leg_takes_its_strike_out_and_nothing_else(rows: list[int], missing: float) -> None:
    call, put = fair_prices()
    put[rows] = missing
    half = np.full(STRIKE_INR.size, 0.1)
    found = parity_forward(STRIKE_INR, call, put, half, half, DISCOUNT, math.nan)
    assert found.pairs == STRIKE_INR.size - len(set(rows))
    assert found.forward_inr == pytest.approx(FORWARD_INR, rel=1e-12)


@given(st.permutations(range(9)))
def test_the_order_of_the_strikes_does_not_matter(order: list[int]) -> None:
    near = slice(57, 66)
    call, put = fair_prices()
    columns = [STRIKE_INR[near], call[near] + 0.3, put[near], half_spreads(call)[near], half_spreads(put)[near]]
    straight = parity_forward(*columns, DISCOUNT, math.nan)
    shuffled = parity_forward(*(column[order] for column in columns), DISCOUNT, math.nan)
    assert shuffled.forward_inr == pytest.approx(straight.forward_inr, rel=1e-13)


def test_one_absurd_price_does_not_move_the_forward_however_tight_its_quote() -> None:
    call, put = fair_prices()
    call[60] += 5_000.0
    half = np.full(STRIKE_INR.size, 0.5)
    half[60] = 0.05
    found = parity_forward(STRIKE_INR, call, put, half, half, DISCOUNT, math.nan)
    assert found.forward_inr == pytest.approx(FORWARD_INR, rel=1e-12)
    assert found.pairs == STRIKE_INR.size - 1


@pytest.mark.parametrize("pairs", [0, 1, 2])
def test_with_fewer_than_three_pairs_spot_is_carried_and_the_answer_says_so(pairs: int) -> None:
    call, put = fair_prices()
    put[pairs:] = math.nan
    found = parity_forward(STRIKE_INR, call, put, UNQUOTED, UNQUOTED, DISCOUNT, 25_000.0)
    assert found.source is ForwardSource.SPOT_CARRY
    assert found.forward_inr == 25_000.0 / DISCOUNT
    assert found.pairs == 0
    assert math.isnan(found.residual_inr)


@pytest.mark.parametrize("spot_inr", [math.nan, 0.0, -1.0, math.inf])
def test_without_pairs_and_without_spot_there_is_no_forward(spot_inr: float) -> None:
    found = parity_forward(STRIKE_INR, UNQUOTED, UNQUOTED, UNQUOTED, UNQUOTED, DISCOUNT, spot_inr)
    assert found.source is ForwardSource.UNAVAILABLE
    assert math.isnan(found.forward_inr)


def test_no_strikes_are_no_pairs() -> None:
    none = np.empty(0)
    assert parity_forward(none, none, none, none, none, 1.0, 100.0).source is ForwardSource.SPOT_CARRY


@given(st.lists(st.tuples(*[st.floats(allow_nan=True, allow_infinity=True)] * 5), max_size=12), st.floats())
def test_whatever_comes_in_a_forward_is_positive_or_said_to_be_unavailable(
    rows: list[tuple[float, float, float, float, float]], spot_inr: float
) -> None:
    columns = np.array(rows, dtype=float).reshape(-1, 5).T
    found = parity_forward(*columns, DISCOUNT, spot_inr)
    if found.source is ForwardSource.UNAVAILABLE:
        assert math.isnan(found.forward_inr)
    else:
        assert found.forward_inr > 0


@pytest.mark.parametrize("discount", [0.0, -1.0, math.nan, math.inf])
def test_a_discount_that_is_none_is_refused(discount: float) -> None:
    with pytest.raises(ValueError, match="discount"):
        parity_forward(STRIKE_INR, UNQUOTED, UNQUOTED, UNQUOTED, UNQUOTED, discount, 25_000.0)


def test_columns_of_different_length_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match="put_price_inr"):
        parity_forward(STRIKE_INR, UNQUOTED, UNQUOTED[1:], UNQUOTED, UNQUOTED, DISCOUNT, 25_000.0)
