"""Numbers, times and states as people read them in a terminal."""

from __future__ import annotations

import math
from datetime import date, datetime, timedelta

from google.protobuf.timestamp_pb2 import Timestamp

from optrading.market.clock import IST
from optrading.market.codec import from_timestamp

MISSING = "–"
"""Shown where there is no value."""


def number(value: float, decimals: int = 2) -> str:
    """Return `value` with separators, such as 24,623.45; NaN and infinity are missing."""
    return f"{value:,.{decimals}f}" if math.isfinite(value) else MISSING


def signed(value: float, decimals: int = 0) -> str:
    """Return `value` with its sign; zero has none."""
    return MISSING if not math.isfinite(value) else f"{value:+,.{decimals}f}" if value else "0"


def percent(fraction: float) -> str:
    """Return a fraction such as 0.1234 as 12.34 %."""
    return f"{100 * fraction:.2f} %" if math.isfinite(fraction) else MISSING


def part(ratio: float) -> str:
    """Return a part such as 0.9987 as 99.87 %, rounded down: only what is whole is 100 %."""
    return percent(math.floor(ratio * 10_000) / 10_000 if math.isfinite(ratio) else ratio)


def strike(value: float) -> str:
    """Return a strike without decimals when it has none."""
    return number(value, 0 if math.isfinite(value) and value == int(value) else 2)


def clock(instant: Timestamp) -> str:
    """Return a time of day in India."""
    return from_timestamp(instant).astimezone(IST).strftime("%H:%M:%S")


def day(expiry: str) -> str:
    """Return a day such as 2026-11-24 as 24 Nov."""
    return f"{date.fromisoformat(expiry):%d %b}"


def day_and_clock(instant: datetime) -> str:
    """Return day and time of day in India."""
    return instant.astimezone(IST).strftime("%d %b %Y %H:%M:%S IST")


def duration(seconds: float) -> str:
    """Return a span in its two greatest units, such as 1.2 s, 3 min 20 s, 2 h 5 min."""
    if seconds < 60:
        return f"{max(seconds, 0):.1f} s"
    whole = timedelta(seconds=int(seconds))
    minutes, second = divmod(int(whole.total_seconds()), 60)
    if minutes < 60:
        return f"{minutes} min {second} s"
    hours, minute = divmod(minutes, 60)
    return f"{hours} h {minute} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"


def words(enum_name: str, prefix: str) -> str:
    """Return a name of the contract's enums as words: LEG_STATUS_NO_TRADE is `no trade`."""
    return enum_name.removeprefix(prefix).replace("_", " ").lower()
