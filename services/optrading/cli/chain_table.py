"""Chains and Greeks as a trader reads them: calls on the left, strikes in the middle, puts on the right."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from optrading.analytics.v1 import analytics_service_pb2 as analytics_pb
from optrading.cli.formatting import day_and_clock, number, part, percent, signed, strike, words
from optrading.market.codec import from_timestamp
from optrading.market.v1 import chain_pb2

# Name and the narrowest terminal, in characters, that still shows it.
_CHAIN_COLUMNS = (("OI", 0), ("change", 140), ("volume", 0), ("bid", 116), ("ask", 116), ("last", 0))
_GREEK_COLUMNS = (("price", 0), ("delta", 0), ("gamma", 122), ("theta/day", 86), ("vega/pt", 122), ("IV", 0))


def chain_table(
    chain: chain_pb2.ChainSnapshot, expiry: chain_pb2.ExpiryChain, strikes: int, width: int
) -> RenderableType:
    """Return one expiry of a chain; open interest and volume in units.

    Args:
        chain: The snapshot.
        expiry: One of its expiries.
        strikes: How many strikes to show on each side of the money.
        width: Of the terminal, characters; a narrow one shows fewer columns.
    """
    shown = [column for column, (_, narrowest) in enumerate(_CHAIN_COLUMNS) if width >= narrowest]
    table = _new_table([_CHAIN_COLUMNS[column][0] for column in shown])
    for row in rows_near_the_money(expiry.atm_offset, strikes):
        call, put = ([_chain_cells(legs, row)[column] for column in shown] for legs in (expiry.call, expiry.put))
        table.add_row(*call, _strike_cell(expiry, row), *reversed(put))
    return Group(_title(chain, expiry), table)


def greeks_table(
    analytics: analytics_pb.AnalyticsSnapshot, expiry: analytics_pb.ExpiryAnalytics, strikes: int, width: int
) -> RenderableType:
    """Return the Greeks of one expiry; a leg without a volatility shows its status instead.

    Args:
        analytics: The analytics of a snapshot.
        expiry: One of its expiries.
        strikes: How many strikes to show on each side of the money.
        width: Of the terminal, characters; a narrow one shows fewer columns.
    """
    shown = [column for column, (_, narrowest) in enumerate(_GREEK_COLUMNS) if width >= narrowest]
    table = _new_table([_GREEK_COLUMNS[column][0] for column in shown])
    for row in rows_near_the_money(expiry.atm_offset, strikes):
        call, put = ([_greek_cells(legs, row)[column] for column in shown] for legs in (expiry.call, expiry.put))
        table.add_row(*call, _strike_cell(expiry, row), *reversed(put))
    summary = expiry.summary
    source = words(analytics_pb.ForwardSource.Name(summary.forward_source), "FORWARD_SOURCE_")
    caption = (
        f"forward {number(summary.forward_inr)} ({source})   ATM IV {percent(summary.atm_implied_vol)}   "
        f"straddle {number(summary.straddle_inr)}   PCR {number(summary.pcr_open_interest)}   "
        f"max pain {strike(summary.max_pain_inr)}"
    )
    return Group(_title(analytics, expiry), table, Text(caption, style="dim italic"))


def shortfall(completeness: chain_pb2.Completeness) -> str:
    """Return what a chain lacks, such as `98.40 % complete, 1 gap open`; empty when it lacks nothing."""
    said = []
    if completeness.ratio < 1:
        said.append(f"{part(completeness.ratio)} complete")
    elif math.isnan(completeness.ratio):
        said.append("no leg known")
    if completeness.open_gap_count:
        said.append(f"{completeness.open_gap_count} gap{'s' if completeness.open_gap_count > 1 else ''} open")
    return ", ".join(said)


def rows_near_the_money(atm_offset: Sequence[int], strikes: int) -> list[int]:
    """Return the rows whose offset is at most `strikes`; 0 gives the strike at the money alone."""
    return [row for row, offset in enumerate(atm_offset) if abs(offset) <= strikes]


def _new_table(columns: Sequence[str]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in columns:
        table.add_column(name, justify="right", header_style="green", no_wrap=True)
    table.add_column("strike", justify="center", header_style="bold", no_wrap=True)
    for name in reversed(columns):
        table.add_column(name, justify="right", header_style="red", no_wrap=True)
    return table


def _title(
    snapshot: chain_pb2.ChainSnapshot | analytics_pb.AnalyticsSnapshot,
    expiry: chain_pb2.ExpiryChain | analytics_pb.ExpiryAnalytics,
) -> Text:
    # Not the table's own title: that is wrapped to the columns, which are narrower than the terminal.
    buckets = f" ({', '.join(expiry.buckets)})" if expiry.buckets else ""
    lot = f"   lot {expiry.lot_size}" if expiry.lot_size else ""
    when = day_and_clock(from_timestamp(snapshot.event_time))
    title = Text(
        f"{snapshot.index} {number(snapshot.spot_inr)}   {when}   expiry {expiry.expiry}{buckets}{lot}", style="bold"
    )
    if snapshot.HasField("completeness") and (missing := shortfall(snapshot.completeness)):
        title.append(f"   {missing}", style="yellow")
    return title


def _strike_cell(expiry: chain_pb2.ExpiryChain | analytics_pb.ExpiryAnalytics, row: int) -> Text:
    at_the_money = expiry.atm_offset[row] == 0
    return Text(strike(expiry.strike_inr[row]), style="bold reverse" if at_the_money else "bold")


def _chain_cells(legs: chain_pb2.LegColumns, row: int) -> tuple[str, ...]:
    return (
        number(legs.open_interest_units[row], 0),
        signed(legs.open_interest_change_units[row]),
        number(legs.volume_units[row], 0),
        number(legs.bid_inr[row]),
        number(legs.ask_inr[row]),
        number(legs.last_inr[row]),
    )


def _greek_cells(legs: analytics_pb.LegAnalytics, row: int) -> tuple[str, ...]:
    status = legs.status[row]
    solved = status == analytics_pb.LEG_STATUS_OK
    return (
        number(legs.price_inr[row]),
        number(legs.delta[row], 3),
        number(legs.gamma_per_inr[row], 6),
        number(legs.theta_inr_per_day[row]),
        number(legs.vega_inr_per_vol_point[row]),
        percent(legs.implied_vol[row]) if solved else words(analytics_pb.LegStatus.Name(status), "LEG_STATUS_"),
    )
