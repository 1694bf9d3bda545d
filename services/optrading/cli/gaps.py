"""`optrading gaps`: what is missing of an index, why, for how long, and whether it was filled."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp
from rich.console import Console
from rich.table import Table
from rich.text import Text

from optrading.cli.client import GatewayClient
from optrading.cli.errors import CommandError
from optrading.cli.formatting import MISSING, day_and_clock, duration, part, words
from optrading.local.credentials import Credentials
from optrading.market.clock import IST
from optrading.market.codec import from_timestamp, to_timestamp
from optrading.market.v1 import gap_pb2
from optrading.storage.v1 import storage_service_pb2 as pb

_REPAIRS = {
    gap_pb2.GAP_REPAIR_BACKFILLED: "filled",
    gap_pb2.GAP_REPAIR_PARTIAL: "partly filled",
    gap_pb2.GAP_REPAIR_UNAVAILABLE: "no history",
}


async def show_gaps(credentials: Credentials, console: Console, index: str, since: str, until: str) -> None:
    """Print the gaps of `index` that touch a range, and which part of it they leave.

    Args:
        credentials: Of the user who asks.
        console: Where to print.
        index: Symbol; any case.
        since: A day or an instant, see `read_instant`; empty for the beginning.
        until: The same, exclusive; empty for the end.

    Raises:
        CommandError: A time cannot be read.
        CallError: They cannot be had; the text says why.
    """
    request = pb.ListGapsRequest(
        index=index.upper(), start_time=read_instant(since, "--since"), end_time=read_instant(until, "--until")
    )
    async with GatewayClient(credentials) as client:
        answer = await client.call(client.storage.ListGaps, request)
    if answer.gaps:
        console.print(gap_table(answer.gaps))
    else:
        console.print(f"{request.index} has no gaps", highlight=False)
    if math.isfinite(answer.completeness):
        summary = f"{part(answer.completeness)} of the open market's time is without a gap"
        console.print(summary, style="dim", highlight=False)


def read_instant(text: str, option: str) -> Timestamp | None:
    """Return the instant that an option names; without an offset it is India's time. None when it is empty.

    Raises:
        CommandError: It is neither a day nor an instant.
    """
    if not text:
        return None
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise CommandError(f"{option} {text!r} is neither a day nor a time such as 2026-08-18T09:15") from None
    return to_timestamp(instant if instant.tzinfo is not None else instant.replace(tzinfo=IST))


def gap_table(gaps: Sequence[gap_pb2.Gap]) -> Table:
    """Return one row for each gap, in their order; times in India."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("begin", "lasted", "cause", "legs", "repair"):
        table.add_column(name, justify="right" if name in ("lasted", "legs") else "left", no_wrap=True)
    table.add_column("what happened")
    for gap in gaps:
        table.add_row(*_cells(gap))
    return table


def _cells(gap: gap_pb2.Gap) -> tuple[str | Text, ...]:
    begin = from_timestamp(gap.start_time)
    closed = gap.cause == gap_pb2.GAP_CAUSE_MARKET_CLOSED
    lasted = Text("open", style="" if closed else "red")
    if gap.HasField("end_time"):
        lasted = Text(duration((from_timestamp(gap.end_time) - begin).total_seconds()))
    return (
        day_and_clock(begin),
        lasted,
        words(gap_pb2.GapCause.Name(gap.cause), "GAP_CAUSE_"),
        f"{gap.leg_count:,}" if gap.leg_count else "all",
        _repair(gap),
        gap.detail,
    )


def _repair(gap: gap_pb2.Gap) -> str:
    known = _REPAIRS.get(gap.repair, MISSING)
    return f"{known}, {gap.backfilled_chain_count:,} chains" if gap.backfilled_chain_count else known
