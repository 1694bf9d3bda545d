"""`optrading buckets`: which expiry each bucket stands for on a day, from what the exchanges list."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from optrading.cli.formatting import MISSING, strike
from optrading.collection.feeds.base import FeedError
from optrading.collection.feeds.kite.instruments import Instruments, Ladder, read_instruments
from optrading.common.exchange_calendar import HolidayFileError, load_calendar
from optrading.local.settings import OptionError
from optrading.market.buckets import BUCKETS, assign_buckets
from optrading.market.calendar import TradingCalendar
from optrading.market.chain import Floats
from optrading.market.clock import IST
from optrading.market.indices import INDICES

_NEAR = 5
"""Steps of the ladder on each side of its middle that count as near the money; exchanges list around it."""


@dataclass(frozen=True, slots=True)
class BucketRow:
    """What one bucket of one index stands for.

    Attributes:
        index: Index symbol.
        bucket: Its name.
        ladder: The contracts of its expiry; None where no listed expiry answers to it.
        listed: All listed expiries of the index, ascending.
    """

    index: str
    bucket: str
    ladder: Ladder | None
    listed: tuple[date, ...]


def bucket_rows(instruments: Instruments, day: date) -> Iterator[BucketRow]:
    """Yield four rows for each index, in the order of `INDICES` and `BUCKETS`."""
    for index in INDICES:
        by_expiry = {ladder.expiry: ladder for ladder in instruments.ladders(index)}
        assigned = assign_buckets(list(by_expiry), day)
        for bucket in BUCKETS:
            expiry = assigned.get(bucket)
            yield BucketRow(index, bucket, by_expiry[expiry] if expiry else None, tuple(by_expiry))


def step_near_money(strike_inr: Floats) -> float:
    """Return the usual distance of the strikes around the middle of a ladder, rupees; NaN for fewer than two."""
    middle = (len(strike_inr) - 1) // 2
    steps = np.diff(strike_inr[max(middle - _NEAR, 0) : middle + _NEAR + 1])
    return float(np.median(steps)) if len(steps) else float("nan")


def show_buckets(day: date, source: Path, holiday_file: Path | None, console: Console) -> None:
    """Print the table of `day`.

    Raises:
        OptionError: The instruments or the holidays cannot be read.
    """
    try:
        rows = list(bucket_rows(read_instruments(source), day))
        years = {day.year, *(row.ladder.expiry.year for row in rows if row.ladder)}
        calendar = load_calendar(min(years), max(years), holiday_file)
    except (FeedError, HolidayFileError) as error:
        raise OptionError(str(error)) from None
    console.print(_headline(day, calendar), highlight=False)
    console.print(_table(rows, day))
    for note in _notes(rows, calendar):
        console.print(note, highlight=False, style="yellow")


def read_day(text: str) -> date:
    """Return the day that an option names; today in India when it is empty.

    Raises:
        OptionError: It is no day.
    """
    try:
        return date.fromisoformat(text) if text else datetime.now(IST).date()
    except ValueError:
        raise OptionError(f"--day {text!r} is not a day such as 2026-08-18") from None


def find_instruments(home: Path, day: date) -> Path:
    """Return the newest dump that the Kite feed has kept by `day`.

    Raises:
        OptionError: There is none.
    """
    folder = home / "kite" / "instruments"
    kept = [path for path in sorted(folder.glob("*.csv.gz")) if path.name <= f"{day.isoformat()}.csv.gz"]
    if not kept:
        raise OptionError(f"no instruments of {day} or before are kept in {folder}; name a dump with --instruments")
    return kept[-1]


def _headline(day: date, calendar: TradingCalendar) -> str:
    session = calendar.session(day)
    hours = "no session"
    if session is not None:
        hours = " to ".join(f"{instant.astimezone(IST):%H:%M}" for instant in (session.opens, session.closes))
    return f"{day:%A, %d %B %Y}: {hours}{' IST' if session else ''}"


def _table(rows: list[BucketRow], day: date) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("index", "bucket", "expiry", "days", "strikes", "lot", "step", "steps"):
        table.add_column(name, justify="left" if name in ("index", "bucket") else "right", no_wrap=True)
    for row in rows:
        first = row.bucket == BUCKETS[0]
        table.add_row(Text(row.index if first else "", style="bold"), row.bucket, *_cells(row.ladder, day))
    return table


def _cells(ladder: Ladder | None, day: date) -> tuple[str, ...]:
    if ladder is None:
        return (MISSING,) * 6
    ahead = (ladder.expiry - day).days
    steps = [strike(step) for step in np.unique(np.diff(ladder.strike_inr))]
    return (
        f"{ladder.expiry:%a %d %b %Y}",
        str(ahead) if ahead else "today",
        str(len(ladder.strike_inr)),
        str(ladder.lot_size),
        strike(step_near_money(ladder.strike_inr)),
        "-".join(dict.fromkeys((steps[0], steps[-1]))) if steps else MISSING,
    )


def _notes(rows: list[BucketRow], calendar: TradingCalendar) -> Iterator[str]:
    for index in INDICES:
        missing = [row for row in rows if row.index == index and row.ladder is None]
        if missing:
            names = ", ".join(row.bucket for row in missing)
            listed = ", ".join(str(expiry) for expiry in missing[0].listed) or "nothing"
            yield f"{index} has no expiry in {names}; listed: {listed}"
    expiries = {row.ladder.expiry for row in rows if row.ladder}
    for expiry in sorted(each for each in expiries if calendar.session(each) is None):
        yield f"the exchanges are closed on {expiry}, says the calendar; HOLIDAY_FILE goes over it"
