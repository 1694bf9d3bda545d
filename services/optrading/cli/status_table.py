"""The live table of `optrading up`: one row per index."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from optrading.analytics.v1.analytics_service_pb2 import ForwardSource
from optrading.cli.chain_table import shortfall
from optrading.cli.formatting import MISSING, clock, day, duration, number, percent, strike, words
from optrading.cli.status import IndexStatus

# Name and the narrowest terminal, in characters, that still shows it.
_COLUMNS = (
    ("index", 0),
    ("spot", 0),
    ("event IST", 72),
    ("sequence", 72),
    ("stored", 0),
    ("legs stored", 112),
    ("expiry", 122),
    ("ATM", 100),
    ("ATM IV", 0),
    ("PCR", 0),
    ("max pain", 100),
    ("forward", 142),
    ("age", 0),
)

STALE_AFTER_S = 10.0
"""A chain older than this by its feed's clock is shown as stale."""


def status_table(statuses: Sequence[IndexStatus], width: int) -> Table:
    """Return the table of all indices; a terminal of few characters shows fewer columns."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    shown = [column for column, (_, narrowest) in enumerate(_COLUMNS) if width >= narrowest]
    for column in shown:
        name = _COLUMNS[column][0]
        table.add_column(name, justify="left" if name in ("index", "forward") else "right", no_wrap=True)
    for each in statuses:
        cells = _row(each)
        table.add_row(*(cells[column] for column in shown))
    return table


def status_view(statuses: Sequence[IndexStatus], notes: Sequence[str], problem: str, width: int) -> RenderableType:
    """Return the table with the last things that happened, and what is wrong, below it."""
    parts: list[RenderableType] = [status_table(statuses, width)]
    parts += [Text(note, style="yellow") for note in shortfalls(statuses)]
    parts += [Text(note, style="dim") for note in notes]
    if problem:
        parts.append(Text(problem, style="yellow"))
    parts.append(Text("Ctrl-C stops everything", style="dim"))
    return Group(*parts)


def shortfalls(statuses: Sequence[IndexStatus]) -> list[str]:
    """Return a line for each index of whose newest chain something is missing."""
    found = []
    for each in statuses:
        if each.summary is not None and each.summary.HasField("completeness"):
            missing = shortfall(each.summary.completeness)
            if missing:
                found.append(f"{each.listing.index}: {missing}; see `optrading gaps {each.listing.index}`")
    return found


def _row(status: IndexStatus) -> list[Text]:
    listing, front = status.listing, status.front
    forward = MISSING
    if front is not None:
        source = words(ForwardSource.Name(front.forward_source), "FORWARD_SOURCE_")
        forward = f"{number(front.forward_inr)} {source}"
    stored = Text(str(status.stored_sequence), style="green" if status.is_stored else "yellow")
    if listing.finished:
        age = Text("finished", style="dim")
    else:
        age = Text(
            duration(status.age_s) if math.isfinite(status.age_s) else MISSING,
            style="red" if status.age_s > STALE_AFTER_S else "",
        )
    texts = (
        number(listing.spot_inr),
        clock(listing.event_time) if listing.HasField("event_time") else MISSING,
        str(listing.latest_sequence),
    )
    figures = (
        f"{status.watermark.leg_count:,}" if status.watermark is not None else "0",
        day(front.expiry) if front else MISSING,
        strike(front.atm_strike_inr) if front else MISSING,
        percent(front.atm_implied_vol) if front else MISSING,
        number(front.pcr_open_interest) if front else MISSING,
        strike(front.max_pain_inr) if front else MISSING,
        forward,
    )
    return [Text(listing.index, style="bold"), *map(Text, texts), stored, *map(Text, figures), age]
