"""Numbers and times in the terminal."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import pytest

from optrading.cli.formatting import clock, day_and_clock, duration, number, percent, signed, strike, words
from optrading.market.codec import to_timestamp

INSTANT = datetime(2026, 8, 18, 10, 0, 5, tzinfo=UTC)


def test_times_are_those_of_india() -> None:
    assert clock(to_timestamp(INSTANT)) == "15:30:05"
    assert day_and_clock(INSTANT) == "18 Aug 2026 15:30:05 IST"


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (number(24623.45), "24,623.45"),
        (number(math.nan), "–"),
        (number(math.inf), "–"),
        (signed(-1200), "-1,200"),
        (signed(1200), "+1,200"),
        (signed(0.0), "0"),
        (percent(0.1234), "12.34 %"),
        (percent(math.nan), "–"),
        (strike(24650.0), "24,650"),
        (strike(1012.5), "1,012.50"),
        (strike(math.nan), "–"),
        (words("LEG_STATUS_NO_TRADE", "LEG_STATUS_"), "no trade"),
    ],
)
def test_values_are_shown_as_traders_write_them(shown: str, expected: str) -> None:
    assert shown == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(-1, "0.0 s"), (1.24, "1.2 s"), (200, "3 min 20 s"), (7500, "2 h 5 min"), (200_000, "2 d 7 h")],
)
def test_spans_are_shown_in_their_two_greatest_units(seconds: float, expected: str) -> None:
    assert duration(seconds) == expected
