"""Put-call ratio and max pain."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optrading.analytics.kernels.arrays import Floats
from optrading.analytics.kernels.max_pain import max_pain
from optrading.analytics.kernels.open_interest import put_call_ratio

NAN = math.nan
rows = st.lists(
    st.tuples(st.integers(1, 60), st.integers(0, 10**9) | st.just(NAN), st.integers(0, 10**9) | st.just(NAN)),
    min_size=1,
    max_size=25,
    unique_by=lambda row: row[0],
)


def slow_max_pain(strike: Floats, call_oi: Floats, put_oi: Floats) -> float:
    """Try every strike, in whole numbers."""
    calls, puts = ([int(each) if each > 0 else 0 for each in side] for side in (call_oi, put_oi))
    if not sum(calls) + sum(puts):
        return NAN
    strikes = [int(each) for each in strike]

    def payout(settlement: int) -> int:
        of_calls = sum(oi * max(settlement - k, 0) for k, oi in zip(strikes, calls, strict=True))
        return of_calls + sum(oi * max(k - settlement, 0) for k, oi in zip(strikes, puts, strict=True))

    return float(min(sorted(strikes), key=payout))


@given(rows)
def test_max_pain_is_the_lowest_strike_of_least_payout(rows: list[tuple[int, float, float]]) -> None:
    strike, call_oi, put_oi = np.array(rows, dtype=float).T
    strike = strike * 50
    np.testing.assert_equal(max_pain(strike, call_oi, put_oi), slow_max_pain(strike, call_oi, put_oi))


def test_of_two_strikes_with_the_same_payout_the_lower_is_taken() -> None:
    assert max_pain(np.array([100.0, 200.0]), np.array([5.0, 0.0]), np.array([0.0, 5.0])) == 100.0


def test_a_strike_listed_twice_counts_with_both_rows() -> None:
    strike, calls, puts = np.array([100.0, 200.0, 200.0, 300.0]), np.array([1.0, 1, 1, 1]), np.array([1.0, 1, 4, 1])
    assert max_pain(strike, calls, puts) == slow_max_pain(strike, calls, puts)


@pytest.mark.parametrize("nothing", [NAN, 0.0])
def test_without_open_interest_there_is_no_max_pain(nothing: float) -> None:
    none = np.full(3, nothing)
    assert math.isnan(max_pain(np.array([1.0, 2.0, 3.0]), none, none))
    assert math.isnan(max_pain(np.empty(0), np.empty(0), np.empty(0)))


def test_missing_open_interest_is_skipped_and_a_strike_without_number_left_out() -> None:
    strike = np.array([100.0, NAN, 200.0, 300.0])
    calls, puts = np.array([NAN, 9e9, 10.0, 0.0]), np.array([3.0, 9e9, NAN, 4.0])
    assert max_pain(strike, calls, puts) == 200.0


def test_the_ratio_is_puts_over_calls_of_what_is_known() -> None:
    assert put_call_ratio(np.array([3.0, NAN, 3.0]), np.array([NAN, 4.0])) == 1.5


@given(st.lists(st.integers(0, 10**9), min_size=1), st.lists(st.integers(1, 10**9), min_size=1), st.integers(1, 1000))
def test_the_ratio_does_not_depend_on_the_lot_size(puts: list[int], calls: list[int], lot: int) -> None:
    put, call = np.array(puts, dtype=float), np.array(calls, dtype=float)
    assert put_call_ratio(put * lot, call * lot) == pytest.approx(put_call_ratio(put, call), rel=1e-12)


@pytest.mark.parametrize(
    ("puts", "calls"), [([1.0], [0.0]), ([1.0], [NAN]), ([NAN], [1.0]), ([NAN], [NAN]), ([1.0], []), ([], [1.0])]
)
def test_without_calls_or_without_knowledge_there_is_no_ratio(puts: list[float], calls: list[float]) -> None:
    assert math.isnan(put_call_ratio(np.array(puts), np.array(calls)))
