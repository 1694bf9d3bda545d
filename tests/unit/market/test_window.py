from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from optrading.market.strikes import atm_row
from optrading.market.window import StrikeWindow, WindowShape

EXPIRY = date(2026, 8, 18)
FAR = date(2026, 12, 29)
OPENING = datetime(2026, 8, 18, 3, 45, tzinfo=UTC)
STRIKES = np.arange(24_000.0, 25_001.0, 50.0)
UNEVEN = np.array([23_000.0, 23_500.0, 24_000.0, 24_100.0, 24_200.0, 24_500.0, 25_000.0])
FIVE = WindowShape(frozenset(range(-2, 3)), margin=0.25, overlap=timedelta(seconds=300))


def selected(window: StrikeWindow, spot_inr: float, after_s: float = 0.0, strikes=STRIKES) -> list[float]:
    return strikes[window.update(OPENING + timedelta(seconds=after_s), spot_inr, {EXPIRY: strikes})[EXPIRY]].tolist()


def test_a_window_begins_around_the_strike_nearest_to_the_spot() -> None:
    assert selected(StrikeWindow(FIVE), 24_512.0) == [24_400.0, 24_450.0, 24_500.0, 24_550.0, 24_600.0]


def test_offsets_walk_the_listed_strikes_whatever_their_distance() -> None:
    window = StrikeWindow(FIVE)
    found = window.update(OPENING, 24_110.0, {EXPIRY: STRIKES, FAR: UNEVEN})
    assert UNEVEN[found[FAR]].tolist() == [23_500.0, 24_000.0, 24_100.0, 24_200.0, 24_500.0]
    assert STRIKES[found[EXPIRY]].tolist() == [24_000.0, 24_050.0, 24_100.0, 24_150.0, 24_200.0]


def test_a_spot_that_trembles_around_the_middle_moves_nothing() -> None:
    window = StrikeWindow(FIVE)
    before = selected(window, 24_512.0)
    for number, spot_inr in enumerate((24_526.0, 24_524.0, 24_530.0, 24_537.0)):
        assert selected(window, spot_inr, number) == before


def test_past_the_margin_it_moves_and_what_it_left_stays_for_the_overlap() -> None:
    window = StrikeWindow(FIVE)
    before = selected(window, 24_512.0)
    assert selected(window, 24_538.0, 10) == [*before, 24_650.0]
    assert selected(window, 24_538.0, 309) == [*before, 24_650.0]
    assert selected(window, 24_538.0, 310) == [*before[1:], 24_650.0]


def test_a_jump_is_followed_at_once_and_nothing_is_lost_meanwhile() -> None:
    window = StrikeWindow(FIVE)
    before = selected(window, 24_100.0)
    after = selected(window, 24_900.0, 1)
    assert set(before) < set(after)
    assert {24_800.0, 24_850.0, 24_900.0, 24_950.0, 25_000.0} < set(after)


def test_an_unknown_spot_leaves_the_window_where_it_is() -> None:
    window = StrikeWindow(FIVE)
    before = selected(window, 24_512.0)
    assert selected(window, float("nan"), 5) == before
    assert len(selected(StrikeWindow(FIVE), float("nan"))) == 5


def test_strikes_that_are_listed_during_the_day_join_the_ladder() -> None:
    window = StrikeWindow(FIVE)
    selected(window, 24_110.0, strikes=UNEVEN)
    more = np.sort(np.append(UNEVEN, [24_150.0, 24_050.0]))
    assert selected(window, 24_110.0, 1, more) == [23_500.0, 24_000.0, 24_050.0, 24_100.0, 24_150.0, 24_200.0, 24_500.0]


def test_all_is_every_listed_strike() -> None:
    assert selected(StrikeWindow(WindowShape(None)), 24_512.0) == STRIKES.tolist()
    assert WindowShape(None).widened(1) == WindowShape(None)


def test_a_widened_window_reaches_further_on_both_sides() -> None:
    assert WindowShape(frozenset({-1, 0, 1})).widened(1).offsets == frozenset(range(-2, 3))


@given(st.lists(st.floats(23_900, 25_100), min_size=1, max_size=60))
def test_no_leg_is_lost_within_the_overlap_and_the_money_is_always_inside(spots: list[float]) -> None:
    window = StrikeWindow(FIVE)
    seen: dict[float, int] = {}
    for number, spot_inr in enumerate(spots):
        now = set(selected(window, spot_inr, 10.0 * number))
        # What was wanted less than the overlap ago is still there.
        assert {strike for strike, last in seen.items() if number - last < 30} <= now
        row = atm_row(STRIKES, spot_inr)
        assert set(STRIKES[max(row - 1, 0) : row + 2].tolist()) <= now
        core = atm_row(STRIKES, spot_inr)
        for strike in STRIKES[max(core - 1, 0) : core + 2].tolist():
            seen[strike] = number


@given(st.lists(st.floats(24_482.0, 24_517.9), max_size=60))
def test_a_walk_inside_the_margin_never_moves_the_window(walk: list[float]) -> None:
    window = StrikeWindow(FIVE)
    before = selected(window, 24_500.0)
    assert all(selected(window, spot_inr, number) == before for number, spot_inr in enumerate(walk))
