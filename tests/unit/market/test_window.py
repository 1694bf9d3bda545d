from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optrading.market.strikes import atm_offsets
from optrading.market.window import StrikeWindow, WindowShape

EXPIRY = date(2026, 8, 18)
FAR = date(2026, 12, 29)
OPENING = datetime(2026, 8, 18, 3, 45, tzinfo=UTC)
STRIKES = np.arange(24_000.0, 25_001.0, 50.0)
UNEVEN = np.array([23_000.0, 23_500.0, 24_000.0, 24_100.0, 24_200.0, 24_500.0, 25_000.0])
FIVE = WindowShape(frozenset(range(-2, 3)), margin=0.25, overlap=timedelta(seconds=300))

walks = st.lists(st.tuples(st.floats(23_900, 25_100), st.integers(1, 400)), min_size=1, max_size=20)
"""Spots, and the seconds until each."""
offset_sets = st.frozensets(st.integers(-6, 6), min_size=1, max_size=5)


def wanted_now(place_inr: float, offsets: frozenset[int], strikes=STRIKES) -> set[float]:
    return set(strikes[np.isin(atm_offsets(strikes, place_inr), sorted(offsets))].tolist())


def selected(window: StrikeWindow, spot_inr: float, after_s: float = 0.0, strikes=STRIKES) -> list[float]:
    return strikes[window.update(OPENING + timedelta(seconds=after_s), spot_inr, {EXPIRY: strikes})[EXPIRY]].tolist()


def test_a_window_begins_around_the_strike_nearest_to_the_spot() -> None:
    assert selected(StrikeWindow(FIVE), 24_512.0) == [24_400.0, 24_450.0, 24_500.0, 24_550.0, 24_600.0]


def test_offsets_walk_the_listed_strikes_whatever_their_distance() -> None:
    window = StrikeWindow(FIVE)
    found = window.update(OPENING, 24_110.0, {EXPIRY: STRIKES, FAR: UNEVEN})
    assert UNEVEN[found[FAR]].tolist() == [23_500.0, 24_000.0, 24_100.0, 24_200.0, 24_500.0]
    assert STRIKES[found[EXPIRY]].tolist() == [24_000.0, 24_050.0, 24_100.0, 24_150.0, 24_200.0]


def test_a_spot_that_trembles_around_the_middle_makes_no_strike_come_and_go() -> None:
    window = StrikeWindow(FIVE)
    before = selected(window, 24_512.0)
    for number in range(200):
        # What the nearest strike asks for joins once, and stays.
        assert selected(window, 24_526.0 if number % 2 == 0 else 24_524.0, 60.0 * number) == [*before, 24_650.0]
    assert window.centres() == {EXPIRY: 24_500.0}
    assert selected(window, 24_512.0, 60.0 * 206) == before


@pytest.mark.parametrize(
    ("spot_inr", "centre_inr"),
    [(24_537.5, 24_500.0), (24_537.51, 24_550.0), (24_462.5, 24_500.0), (24_462.49, 24_450.0), (24_712.0, 24_700.0)],
)
def test_the_centre_moves_once_the_spot_is_past_the_middle_by_the_margin(spot_inr: float, centre_inr: float) -> None:
    window = StrikeWindow(FIVE)
    selected(window, 24_500.0)
    selected(window, spot_inr, 1)
    assert window.centres() == {EXPIRY: centre_inr}


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


@pytest.mark.parametrize("steps", [-10, 10])
def test_after_a_gap_both_places_are_active_and_the_old_one_leaves_after_the_overlap(steps: int) -> None:
    window = StrikeWindow(FIVE)
    there = 24_500.0 + steps * 50.0
    before = selected(window, 24_500.0)
    after = [strike for strike in STRIKES.tolist() if abs(strike - there) <= 100.0]
    assert selected(window, there + 3.0, 1) == sorted({*before, *after})
    assert selected(window, there, 300) == sorted({*before, *after})
    assert selected(window, there, 301) == after


def test_a_spot_beyond_the_ladder_is_at_its_end() -> None:
    window = StrikeWindow(FIVE)
    assert selected(window, 30_000.0) == [24_900.0, 24_950.0, 25_000.0]
    assert selected(window, 30_100.0, 1) == [24_900.0, 24_950.0, 25_000.0]


def test_a_centre_that_is_no_longer_listed_gives_way_to_the_nearest_strike() -> None:
    window = StrikeWindow(FIVE)
    selected(window, 24_450.0)
    selected(window, 24_451.0, 1, STRIKES[::2])
    assert window.centres() == {EXPIRY: 24_500.0}


def test_at_a_rollover_the_new_expiry_begins_at_the_money_and_the_other_keeps_its_centre() -> None:
    window = StrikeWindow(FIVE)
    window.update(OPENING, 24_500.0, {EXPIRY: STRIKES, FAR: STRIKES})
    new = date(2026, 9, 1)
    found = window.update(OPENING + timedelta(days=1), 24_530.0, {new: STRIKES, FAR: STRIKES})
    assert window.centres() == {new: 24_550.0, FAR: 24_500.0}
    assert STRIKES[found[new]].tolist() == [24_450.0, 24_500.0, 24_550.0, 24_600.0, 24_650.0]


def test_an_instant_a_little_early_forgets_nothing_and_a_recording_from_its_beginning_starts_anew() -> None:
    window = StrikeWindow(FIVE)
    before = selected(window, 24_200.0, 10_000)
    after = [24_600.0, 24_650.0, 24_700.0, 24_750.0, 24_800.0]
    assert selected(window, 24_700.0, 9_998) == [*before, *after]
    assert selected(window, 24_700.0, 10_299) == [*before, *after]
    assert selected(window, 24_700.0, 0) == after


@given(walks, offset_sets, st.sampled_from([0.0, 0.25, 0.5]), st.sampled_from([STRIKES, UNEVEN]))
def test_what_is_wanted_around_the_present_spot_is_always_active(walk, offsets, margin: float, strikes) -> None:
    window = StrikeWindow(WindowShape(offsets, margin))
    second = 0.0
    for spot_inr, later_s in walk:
        second += later_s
        assert wanted_now(spot_inr, offsets, strikes) <= set(selected(window, spot_inr, second, strikes))


@given(walks, offset_sets, st.integers(0, 600))
def test_no_leg_is_lost_within_the_overlap_and_none_stays_for_ever(walk, offsets, overlap_s: int) -> None:
    window = StrikeWindow(WindowShape(offsets, overlap=timedelta(seconds=overlap_s)))
    second, before, left_at = 0.0, set(), {}
    for spot_inr, later_s in walk:
        second += later_s
        active = set(selected(window, spot_inr, second))
        wanted = wanted_now(spot_inr, offsets) | wanted_now(window.centres()[EXPIRY], offsets)
        left_at = {strike: at for strike, at in left_at.items() if strike not in wanted}
        left_at.update(dict.fromkeys(before - wanted, second))
        assert active == wanted | {strike for strike, at in left_at.items() if second - at < overlap_s}
        before = wanted


@given(walks, offset_sets, st.integers(1, 5))
def test_a_widened_window_that_sees_more_instants_holds_what_the_other_wants(walk, offsets, every: int) -> None:
    # Such as a feed's, which is moved by each tick, beside the one that shapes a chain a second.
    shape = WindowShape(offsets, overlap=timedelta(0))
    cuts, ticks = StrikeWindow(shape), StrikeWindow(shape.widened(1))
    for number, (spot_inr, _) in enumerate(walk):
        followed = set(selected(ticks, spot_inr, number))
        if number % every == 0:
            assert set(selected(cuts, spot_inr, number)) <= followed


@given(walks, offset_sets)
def test_the_same_walk_selects_the_same_strikes(walk, offsets) -> None:
    def run() -> list[list[float]]:
        window = StrikeWindow(WindowShape(offsets))
        return [selected(window, spot_inr, 60.0 * number) for number, (spot_inr, _) in enumerate(walk)]

    assert run() == run()


@given(st.lists(st.floats(24_462.5, 24_537.5), max_size=25))
def test_a_walk_inside_the_margin_never_moves_the_centre(walk: list[float]) -> None:
    window = StrikeWindow(FIVE)
    before = set(selected(window, 24_500.0))
    for number, spot_inr in enumerate(walk):
        assert before <= set(selected(window, spot_inr, 400.0 * number))
        assert window.centres() == {EXPIRY: 24_500.0}
