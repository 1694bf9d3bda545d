"""When the exchanges trade: sessions, holidays, special sessions. Both exchanges keep the same days."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from optrading.market.clock import IST, trading_date

REGULAR_OPEN = time(9, 15, tzinfo=IST)
"""When the regular session of NSE and BSE begins."""
REGULAR_CLOSE = time(15, 30, tzinfo=IST)
"""When it ends."""

_SATURDAY = 5
_LONGEST_CLOSURE = timedelta(days=60)
"""No exchange stays closed for longer; a search ends there."""


@dataclass(frozen=True, slots=True)
class Session:
    """One trading session.

    Attributes:
        day: Its day in India.
        opens: First instant of it, aware, UTC.
        closes: First instant after it, aware, UTC.
    """

    day: date
    opens: datetime
    closes: datetime

    def holds(self, instant: datetime) -> bool:
        """Return whether the market is open at `instant`."""
        return self.opens <= instant < self.closes


def session_on(day: date, opens: time = REGULAR_OPEN, closes: time = REGULAR_CLOSE) -> Session:
    """Return the session of `day` between two times in India.

    Raises:
        ValueError: It would end before it begins.
    """
    first = datetime.combine(day, opens.replace(tzinfo=IST)).astimezone(UTC)
    last = datetime.combine(day, closes.replace(tzinfo=IST)).astimezone(UTC)
    if last <= first:
        raise ValueError(f"a session from {opens:%H:%M} to {closes:%H:%M} ends before it begins")
    return Session(day, first, last)


class TradingCalendar:
    """Regular sessions on weekdays that are no holidays, and what goes over them."""

    def __init__(self, holidays: Collection[date] = (), special_sessions: Mapping[date, Session] | None = None) -> None:
        """Know `holidays`; a day with a special session has that one, whatever day it is."""
        self._holidays = frozenset(holidays)
        self._special = dict(special_sessions or {})

    def session(self, day: date) -> Session | None:
        """Return the session of `day`; None when the exchanges are closed all day."""
        special = self._special.get(day)
        if special is not None:
            return special
        if day.weekday() >= _SATURDAY or day in self._holidays:
            return None
        return session_on(day)

    def is_open(self, instant: datetime) -> bool:
        """Return whether the market is open at `instant`, which must be aware."""
        session = self.session(trading_date(instant))
        return session is not None and session.holds(instant)

    def next_session(self, instant: datetime) -> Session:
        """Return the first session that closes after `instant`: the present one, or the one to come.

        Raises:
            ValueError: There is none within two months; the calendar is wrong.
        """
        day = trading_date(instant)
        for days in range(_LONGEST_CLOSURE.days):
            session = self.session(day + timedelta(days=days))
            if session is not None and session.closes > instant:
                return session
        raise ValueError(f"the calendar has no session within {_LONGEST_CLOSURE.days} days of {day}")

    def last_session(self, instant: datetime) -> Session | None:
        """Return the latest session that has opened by `instant`; None when there was none within two months."""
        day = trading_date(instant)
        for days in range(_LONGEST_CLOSURE.days):
            session = self.session(day - timedelta(days=days))
            if session is not None and session.opens <= instant:
                return session
        return None

    def open_time_between(self, first: datetime, last: datetime) -> timedelta:
        """Return for how long the market was open between two instants; nothing when `last` is not after `first`."""
        total = timedelta()
        day = trading_date(first)
        while day <= trading_date(last) and first < last:
            session = self.session(day)
            if session is not None:
                total += max(min(session.closes, last) - max(session.opens, first), timedelta())
            day += timedelta(days=1)
        return total


class AlwaysOpen(TradingCalendar):
    """A market that never closes, such as a demonstration's: each day is one session, from midnight to midnight."""

    def session(self, day: date) -> Session:
        """Return the whole day in India."""
        begins = datetime.combine(day, time(0, tzinfo=IST)).astimezone(UTC)
        return Session(day, begins, begins + timedelta(days=1))
