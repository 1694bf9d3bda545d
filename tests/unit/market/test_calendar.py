from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optrading.market.calendar import AlwaysOpen, TradingCalendar, session_on
from optrading.market.clock import IST

HOLIDAY = date(2026, 11, 10)
MUHURAT = date(2026, 11, 8)  # a Sunday
CALENDAR = TradingCalendar({HOLIDAY}, {MUHURAT: session_on(MUHURAT, time(18, 0), time(19, 0))})


def india(day: date, hour: int, minute: int = 0, second: int = 0) -> datetime:
    return datetime(day.year, day.month, day.day, hour, minute, second, tzinfo=IST).astimezone(UTC)


def test_a_weekday_has_the_regular_session() -> None:
    session = CALENDAR.session(date(2026, 11, 9))
    assert session is not None
    assert (session.opens, session.closes) == (india(session.day, 9, 15), india(session.day, 15, 30))


@pytest.mark.parametrize("day", [HOLIDAY, date(2026, 11, 7), date(2026, 11, 15)])
def test_holidays_and_weekends_have_none(day: date) -> None:
    assert CALENDAR.session(day) is None


def test_a_special_session_goes_over_a_weekend() -> None:
    assert CALENDAR.is_open(india(MUHURAT, 18, 30))
    assert not CALENDAR.is_open(india(MUHURAT, 10))


@pytest.mark.parametrize(
    ("hour", "minute", "second", "is_open"),
    [(9, 14, 59, False), (9, 15, 0, True), (15, 29, 59, True), (15, 30, 0, False)],
)
def test_the_market_is_open_from_the_first_instant_up_to_the_close(hour, minute, second, is_open) -> None:
    assert CALENDAR.is_open(india(date(2026, 11, 9), hour, minute, second)) is is_open


def test_the_next_session_is_the_present_one_until_it_closes() -> None:
    monday = date(2026, 11, 9)
    assert CALENDAR.next_session(india(monday, 12)).day == monday
    assert CALENDAR.next_session(india(monday, 15, 30)).day == date(2026, 11, 11)


def test_the_last_session_is_the_one_that_has_opened() -> None:
    assert CALENDAR.last_session(india(HOLIDAY, 12)).day == date(2026, 11, 9)
    assert CALENDAR.last_session(india(date(2026, 11, 9), 9)).day == MUHURAT


def test_a_calendar_without_sessions_is_told_apart_from_a_long_weekend() -> None:
    days = [date(2026, 1, 1) + timedelta(days=number) for number in range(200)]
    closed = TradingCalendar(days)
    with pytest.raises(ValueError, match="no session within 60 days"):
        closed.next_session(india(days[10], 12))
    assert closed.last_session(india(days[100], 12)) is None


def test_open_time_leaves_out_nights_and_holidays() -> None:
    monday, wednesday = date(2026, 11, 9), date(2026, 11, 11)
    assert CALENDAR.open_time_between(india(monday, 15, 0), india(wednesday, 9, 45)) == timedelta(hours=1)
    assert CALENDAR.open_time_between(india(monday, 16), india(wednesday, 9)) == timedelta()
    assert CALENDAR.open_time_between(india(wednesday, 9), india(monday, 9)) == timedelta()


def test_a_session_cannot_end_before_it_begins() -> None:
    with pytest.raises(ValueError, match="ends before it begins"):
        session_on(HOLIDAY, time(19, 0), time(18, 0))


@given(st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)))
def test_the_next_session_has_not_closed_and_the_last_one_has_opened(instant: datetime) -> None:
    following, last = CALENDAR.next_session(instant), CALENDAR.last_session(instant)
    assert following.closes > instant
    assert last is None or last.opens <= instant
    assert CALENDAR.is_open(instant) == following.holds(instant)


@given(st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)))
def test_a_market_that_never_closes_is_open(instant: datetime) -> None:
    assert AlwaysOpen().is_open(instant)
    assert AlwaysOpen().next_session(instant).holds(instant)
