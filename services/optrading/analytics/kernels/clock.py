"""Time to expiry: years of 365 days until 15:30 IST of the expiry day."""

from datetime import date, datetime, timedelta

from optrading.market.clock import expiry_instant

_YEAR = timedelta(days=365)


def years_to_expiry(event_time: datetime, expiry: date) -> float:
    """Measure how long a contract has still to live.

    Args:
        event_time: The instant of the prices, aware; usually UTC.
        expiry: Expiry day in India; the contract expires at 15:30 IST of it.

    Returns:
        Years of 365 days (525,600 minutes), exact to the microsecond; 0.0 from the expiry on.

    Raises:
        ValueError: `event_time` has no time zone, so it is no instant.
    """
    if event_time.utcoffset() is None:
        raise ValueError(f"event_time {event_time.isoformat()} has no time zone")
    left = expiry_instant(expiry) - event_time
    return max(left / _YEAR, 0.0)
