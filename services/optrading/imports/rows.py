"""What every file is read into: legs, one by one, and the rows that cannot be one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime

from optrading.market.clock import EXPIRY_TIME, IST


@dataclass(frozen=True, slots=True)
class Leg:
    """One option of one index at one instant. NaN where nothing is known.

    Attributes:
        line: Where it stands in the file, for messages.
        index: Index symbol.
        event_time: When this was so, UTC.
        expiry: Expiry day.
        strike_inr: Rupees.
        is_put: Whether it is a put.
        lot_size: Units in one contract; 0 when unknown.
        spot_inr: Value of the index, rupees.
        last_inr: Last traded price, rupees.
        bid_inr: Best bid, rupees.
        ask_inr: Best ask, rupees.
        volume_units: Traded that day, units.
        open_interest_units: Units.
        open_interest_change_units: Against the day before, units.
    """

    line: int
    index: str
    event_time: datetime
    expiry: date
    strike_inr: float
    is_put: bool
    lot_size: int
    spot_inr: float
    last_inr: float
    bid_inr: float
    ask_inr: float
    volume_units: float
    open_interest_units: float
    open_interest_change_units: float


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that is not imported.

    Attributes:
        line: Where it stands in the file.
        reason: Why, in one line.
        row: What it holds.
    """

    line: int
    reason: str
    row: str


@dataclass(frozen=True, slots=True)
class Skipped:
    """A row of something else: a stock, a future, another index. Nothing is wrong with it."""


Outcome = Leg | Reject | Skipped


class RowError(ValueError):
    """A row cannot be a leg; the text says why."""


def number(row: Mapping[str, str], name: str, *, missing: float = float("nan")) -> float:
    """Return a column as a number; `missing` where it is empty or a dash.

    Raises:
        RowError: It is no finite number.
    """
    text = (row.get(name) or "").strip()
    if text in ("", "-"):
        return missing
    try:
        value = float(text)
    except ValueError:
        raise RowError(f"{name} is {text!r}, not a number") from None
    if value in (float("inf"), float("-inf")):
        raise RowError(f"{name} is not finite")
    return value


def whole_positive(value: float, name: str) -> float:
    """Return a value that must be above 0.

    Raises:
        RowError: It is not, or is missing.
    """
    if not value > 0:
        raise RowError(f"{name} must be above 0")
    return value


def not_negative(value: float, name: str) -> float:
    """Return a value that must not be below 0; NaN stays.

    Raises:
        RowError: It is below 0.
    """
    if value < 0:
        raise RowError(f"{name} is {value:g}; it must be 0 or more")
    return value


def parse_day(text: str, formats: Iterable[str], name: str) -> date:
    """Return a day.

    Raises:
        RowError: `text` is none of the `formats`.
    """
    for pattern in formats:
        try:
            return datetime.strptime(text.strip(), pattern).date()  # a day has no time zone
        except ValueError:
            continue
    raise RowError(f"{name} is {text!r}, not a day")


def close_of(day: date) -> datetime:
    """Return the close of the market on `day`, UTC: what an end-of-day file is of."""
    return datetime.combine(day, EXPIRY_TIME.replace(tzinfo=IST)).astimezone(UTC)
