"""The exchanges' calendar as it is known today: a library's holidays, with a file of the user's own over it."""

from __future__ import annotations

import re
import warnings
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, time
from pathlib import Path

import structlog

from optrading.market.calendar import Session, TradingCalendar, session_on

log = structlog.get_logger()

_EXCHANGE = "XBOM"
"""BSE by its market identifier code. NSE keeps the same days."""

_LINE = re.compile(
    r"(?P<day>\d{4}-\d{2}-\d{2})\s+(?P<what>closed|open|(?P<opens>\d{2}:\d{2})-(?P<closes>\d{2}:\d{2}))(\s+\S.*)?"
)
_ALLOWED = "allowed: `2026-01-15 closed`, `2026-02-01 open` or `2026-11-08 18:00-19:00`, then a name"

_ANNOUNCED = """
2024-01-20 open a Saturday
2024-11-01 18:00-19:00 Muhurat
2025-02-01 open the budget of the union, a Saturday
2025-10-21 13:45-14:45 Muhurat
2026-02-01 open the budget of the union, a Sunday
"""
"""Sessions that the exchanges announced and the library does not have."""


class HolidayFileError(Exception):
    """A file of holidays cannot be read; the text is one line for the user."""


@dataclass(frozen=True, slots=True)
class _Overrides:
    closed: set[date] = field(default_factory=set)
    sessions: dict[date, Session] = field(default_factory=dict)


def load_calendar(first_year: int, last_year: int, holiday_file: Path | None = None) -> TradingCalendar:
    """Return the calendar of some years; blocks for about half a second.

    Args:
        first_year: Of the days that matter.
        last_year: Likewise, inclusive.
        holiday_file: What the user knows better, a day per line: `2026-01-15 closed`, `2026-02-01 open` (a regular
            session, whatever day it is) or `2026-11-08 18:00-19:00` (that session instead of the regular one), each
            with a name behind it if one likes. `#` begins a comment.

    Raises:
        HolidayFileError: The file cannot be read, or a line of it; the line is named.
    """
    own = _read_overrides(holiday_file) if holiday_file is not None else _Overrides()
    announced = _parse_overrides("announced sessions", _ANNOUNCED.splitlines()).sessions
    sessions = {day: each for day, each in {**announced, **own.sessions}.items() if day not in own.closed}
    years = {day.year for day in (*own.closed, *own.sessions)}
    holidays = (_known_holidays(first_year, last_year, years) | own.closed) - set(sessions)
    return TradingCalendar(holidays, sessions)


def _known_holidays(first_year: int, last_year: int, listed_years: Collection[int]) -> set[date]:
    """Return the library's holidays; a year that neither it nor the user's file knows is warned of."""
    # Not at the top: it brings pandas along, which only a collector of a live market needs.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pandas announces its plans; the pinned version is what we use
        from exchange_calendars import get_calendar  # noqa: PLC0415
        from exchange_calendars.errors import CalendarError  # noqa: PLC0415

        known: set[date] = set()
        for year in range(first_year, last_year + 1):
            first, last = date(year, 1, 1), date(year, 12, 31)
            try:
                calendar = get_calendar(_EXCHANGE, start=first.isoformat(), end=last.isoformat())
            except (CalendarError, ValueError) as error:
                if year not in listed_years:
                    log.warning("holidays_unknown", year=year, error=str(error), hint="list them in HOLIDAY_FILE")
                continue
            open_days = {each.date() for each in calendar.sessions}
            weekdays = (date.fromordinal(day) for day in range(first.toordinal(), last.toordinal() + 1))
            known.update(day for day in weekdays if day.weekday() < 5 and day not in open_days)  # Monday to Friday
    return known


def _read_overrides(path: Path) -> _Overrides:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise HolidayFileError(f"HOLIDAY_FILE={path} cannot be read: {error}") from error
    return _parse_overrides(f"HOLIDAY_FILE={path}", lines)


def _parse_overrides(source: str, lines: Iterable[str]) -> _Overrides:
    overrides = _Overrides()
    for number, line in enumerate(lines, 1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        try:
            day, session = _parse_line(text)
        except ValueError as error:
            raise HolidayFileError(f"{source}, line {number}: {text!r}: {error}; {_ALLOWED}") from None
        overrides.closed.discard(day)
        overrides.sessions.pop(day, None)
        if session is None:
            overrides.closed.add(day)
        else:
            overrides.sessions[day] = session
    return overrides


def _parse_line(text: str) -> tuple[date, Session | None]:
    """Return a day and its session, None when it is closed."""
    found = _LINE.fullmatch(text)
    if found is None:
        raise ValueError("it is no day with what happens on it")
    day = date.fromisoformat(found["day"])
    if found["what"] == "closed":
        return day, None
    if found["what"] == "open":
        return day, session_on(day)
    return day, session_on(day, _time(found["opens"]), _time(found["closes"]))


def _time(text: str) -> time:
    return datetime.strptime(text, "%H:%M").time()
