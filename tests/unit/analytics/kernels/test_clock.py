"""Years to expiry."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optrading.analytics.kernels.clock import years_to_expiry

EXPIRY = date(2025, 8, 7)
EXPIRES = datetime(2025, 8, 7, 10, 0, tzinfo=UTC)


@given(st.integers(1, 5 * 525_600))
def test_years_are_minutes_to_half_past_three_in_india_over_the_minutes_of_365_days(minutes: int) -> None:
    assert years_to_expiry(EXPIRES - timedelta(minutes=minutes), EXPIRY) == pytest.approx(minutes / 525_600, rel=1e-15)


def test_a_second_counts() -> None:
    assert years_to_expiry(EXPIRES - timedelta(seconds=1), EXPIRY) == pytest.approx(1 / (365 * 86_400), rel=1e-15)


@pytest.mark.parametrize("late", [timedelta(0), timedelta(microseconds=1), timedelta(days=400)])
def test_from_the_expiry_on_no_time_is_left(late: timedelta) -> None:
    assert years_to_expiry(EXPIRES + late, EXPIRY) == 0.0


@given(st.integers(-12 * 60, 14 * 60))
def test_the_zone_an_instant_is_written_in_does_not_matter(offset_minutes: int) -> None:
    instant = EXPIRES - timedelta(days=3)
    elsewhere = instant.astimezone(timezone(timedelta(minutes=offset_minutes)))
    assert years_to_expiry(elsewhere, EXPIRY) == years_to_expiry(instant, EXPIRY) == 3 / 365


def test_a_time_without_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        years_to_expiry(datetime(2025, 8, 5, 8, 29), EXPIRY)  # the missing zone is what is tested
