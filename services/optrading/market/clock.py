"""The exchange's clock: India Standard Time and the minute at which contracts expire."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, timezone

IST = timezone(timedelta(hours=5, minutes=30), "IST")
"""India Standard Time. India has no daylight saving, so a fixed offset is exact."""

EXPIRY_TIME = time(15, 30, tzinfo=IST)
"""Index options of NSE and BSE expire at the close of their expiry day."""


def trading_date(instant: datetime) -> date:
    """Return the day in India at `instant`, which must be aware."""
    return instant.astimezone(IST).date()


def expiry_instant(expiry: date) -> datetime:
    """Return when contracts of `expiry` expire, UTC."""
    return datetime.combine(expiry, EXPIRY_TIME).astimezone(UTC)
