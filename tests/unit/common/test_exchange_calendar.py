from __future__ import annotations

from datetime import UTC, date, datetime, time
from pathlib import Path

import pytest
import structlog.testing

from optrading.common.exchange_calendar import HolidayFileError, load_calendar
from optrading.market.calendar import session_on
from optrading.market.clock import IST


def test_the_exchanges_holidays_are_known() -> None:
    calendar = load_calendar(2026, 2026)
    assert calendar.session(date(2026, 1, 26)) is None  # Republic Day
    assert calendar.session(date(2026, 1, 15)) is None  # elections, announced in the same week
    assert calendar.session(date(2026, 8, 18)) is not None


def test_a_file_goes_over_what_is_known(tmp_path: Path) -> None:
    path = tmp_path / "holidays.txt"
    path.write_text(
        "# our own\n"
        "2026-08-18 closed a sudden closure\n"
        "\n"
        "2026-01-26 open  # it was not\n"
        "2026-02-01 open Budget, a Sunday\n"
        "2026-11-08 18:00-19:00 Muhurat\n"
    )

    calendar = load_calendar(2026, 2026, path)

    assert calendar.session(date(2026, 8, 18)) is None
    assert calendar.session(date(2026, 1, 26)) is not None
    assert calendar.session(date(2026, 2, 1)) is not None
    assert calendar.is_open(datetime(2026, 11, 8, 18, 30, tzinfo=IST).astimezone(UTC))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("tomorrow closed", "it is no day"),
        ("2026-13-01 closed", "month must be in"),
        ("2026-11-08 19:00-18:00", "ends before it begins"),
        ("2026-11-08 25:00-26:00", "does not match"),
        ("2026-11-08 shut", "it is no day"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: str, reason: str) -> None:
    path = tmp_path / "holidays.txt"
    path.write_text(f"2026-08-18 closed\n{line}\n")
    with pytest.raises(HolidayFileError, match=f"line 2: .*{reason}.*allowed:"):
        load_calendar(2026, 2026, path)


def test_a_file_that_is_not_there_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(HolidayFileError, match=r"HOLIDAY_FILE=.*cannot be read"):
        load_calendar(2026, 2026, tmp_path / "none")


def test_a_year_beyond_what_is_known_has_weekends_only() -> None:
    calendar = load_calendar(2060, 2060)
    assert calendar.session(date(2060, 1, 26)) is not None
    assert calendar.session(date(2060, 1, 3)) is None


def test_sessions_on_weekends_and_in_the_evening_are_known(tmp_path: Path) -> None:
    path = tmp_path / "holidays.txt"
    path.write_text("2025-02-01 closed\n")
    calendar = load_calendar(2024, 2026, path)
    for weekend in (date(2024, 1, 20), date(2026, 2, 1)):
        assert calendar.session(weekend) == session_on(weekend)
    assert calendar.session(date(2025, 2, 1)) is None, "the file has the last word"
    assert calendar.session(date(2025, 10, 21)) == session_on(date(2025, 10, 21), time(13, 45), time(14, 45))
    assert not calendar.is_open(datetime(2024, 11, 1, 12, 0, tzinfo=IST))
    assert calendar.is_open(datetime(2024, 11, 1, 18, 30, tzinfo=IST))


def test_only_a_year_that_neither_the_library_nor_the_file_knows_is_warned_of(tmp_path: Path) -> None:
    path = tmp_path / "holidays.txt"
    path.write_text("2061-01-26 closed\n")
    with structlog.testing.capture_logs() as logs:
        load_calendar(2060, 2061, path)
    assert [(each["event"], each["year"]) for each in logs] == [("holidays_unknown", 2060)]
