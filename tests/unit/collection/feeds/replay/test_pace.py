from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optrading.collection.feeds.replay import parse_speed
from optrading.collection.feeds.replay.pace import Pace

from ..quick_clock import BEGINNING, QuickClock


@given(speed=st.floats(1, 1000), suffix=st.sampled_from(["", "x", "X", " "]))
def test_every_speed_from_1_to_1000_is_read(speed: float, suffix: str) -> None:
    assert parse_speed(f"{speed!r}{suffix}") == speed


def test_full_speed_has_no_number() -> None:
    assert parse_speed(" MAX ") is None


@pytest.mark.parametrize("text", ["", "x", "0.5", "0", "-3", "1001x", "nan", "inf", "60xx", "maximum", "1e9"])
def test_any_other_speed_is_refused_saying_what_is_allowed(text: str) -> None:
    with pytest.raises(ValueError, match="allowed: 1 to 1000"):
        parse_speed(text)


async def test_gaps_are_divided_by_the_speed_and_the_first_instant_is_due_at_once() -> None:
    clock = QuickClock()
    pace = Pace(clock, 60.0)
    for minute in (0, 1, 1, 3):
        await pace.until(BEGINNING + timedelta(minutes=minute))
    assert clock.slept_s == [1.0, 2.0]


async def test_time_spent_between_two_chains_does_not_slow_the_replay_down() -> None:
    clock = QuickClock()
    pace = Pace(clock, 1.0)
    for second in range(5):
        await pace.until(BEGINNING + timedelta(seconds=second))
        clock.advance(0.25)
    assert clock.slept_s == [0.75] * 4
    assert clock.now() == BEGINNING + timedelta(seconds=4.25)


async def test_a_player_that_was_suspended_goes_on_from_here_without_a_burst() -> None:
    clock = QuickClock()
    pace = Pace(clock, 1.0)
    await pace.until(BEGINNING)
    clock.advance(3600)
    for second in (1, 2, 3):
        await pace.until(BEGINNING + timedelta(seconds=second))
    assert clock.slept_s == [1.0, 1.0]


async def test_a_clock_that_is_set_back_does_not_stop_the_replay() -> None:
    clock = QuickClock()
    pace = Pace(clock, 1.0)
    for second in (0, 1):
        await pace.until(BEGINNING + timedelta(seconds=second))
    clock.advance(-3600)
    for second in (2, 3):
        await pace.until(BEGINNING + timedelta(seconds=second))
    assert clock.slept_s == [1.0, 1.0, 1.0]


async def test_at_full_speed_nothing_is_waited_for() -> None:
    clock = QuickClock()
    pace = Pace(clock, None)
    for minute in range(5):
        await pace.until(BEGINNING + timedelta(minutes=minute))
    assert clock.slept_s == []
