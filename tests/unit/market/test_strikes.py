from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optrading.market.chain import column
from optrading.market.strikes import ALL_OFFSETS, atm_offsets, atm_row, parse_offsets


def test_offsets_walk_the_listed_strikes_whatever_their_distance() -> None:
    ladder = column([24_000, 24_500, 24_900, 24_950, 25_000, 26_000])
    assert atm_offsets(ladder, 24_960.0).tolist() == [-3, -2, -1, 0, 1, 2]


def test_of_two_equally_near_strikes_the_lower_is_at_the_money() -> None:
    assert atm_row(column([100, 150, 200]), 175.0) == 1


def test_an_unknown_spot_takes_the_middle_strike() -> None:
    assert atm_row(column([100, 150, 200]), float("nan")) == 1
    assert atm_row(column([100, 150, 200, 250]), float("nan")) == 1


def test_an_empty_ladder_has_no_offsets() -> None:
    assert atm_offsets(column([]), 100.0).tolist() == []


@given(st.lists(st.floats(1, 1e5), min_size=1, max_size=40, unique=True), st.floats(1, 1e5))
def test_offset_zero_is_a_nearest_strike(strikes: list[float], spot_inr: float) -> None:
    ladder = column(sorted(strikes))
    distance = np.abs(ladder - spot_inr)
    assert distance[atm_offsets(ladder, spot_inr) == 0].tolist() == [distance.min()]


@pytest.mark.parametrize(
    ("text", "offsets"),
    [
        ("-2,-1,0,1,2", {-2, -1, 0, 1, 2}),
        (" 0 , 3 ", {0, 3}),
        ("-2..2", {-2, -1, 0, 1, 2}),
        ("-5..-4,0,4..5", {-5, -4, 0, 4, 5}),
        ("+1", {1}),
    ],
)
def test_offsets_are_read_as_lists_and_ranges(text: str, offsets: set[int]) -> None:
    assert parse_offsets(text) == offsets


def test_all_means_every_strike() -> None:
    assert parse_offsets(" ALL ") is ALL_OFFSETS


@pytest.mark.parametrize("text", ["", ",", "1,,2", "a", "1.5", "5..-5", "1,5..-5", "1...3", "-5..", "0..99999999999"])
def test_anything_else_is_refused_with_what_is_allowed(text: str) -> None:
    with pytest.raises(ValueError, match=r"such as -2,-1,0,1,2"):
        parse_offsets(text)
