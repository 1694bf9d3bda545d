"""`optrading watch`: an index live; a broken connection is taken up again after the last chain received."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, nullcontext
from typing import NamedTuple

import grpc
from rich.console import Console, ConsoleDimensions, RenderableType
from rich.live import Live

from optrading.analytics.v1 import analytics_service_pb2 as analytics_pb
from optrading.cli.chain_table import chain_table, greeks_table
from optrading.cli.client import CallError, GatewayClient
from optrading.cli.formatting import clock, number, percent, strike
from optrading.cli.queries import Selection, shown_expiries
from optrading.collection.v1 import collection_service_pb2 as collection_pb
from optrading.local.credentials import Credentials
from optrading.market.v1 import chain_pb2

_FIRST_RETRY_S = 0.2
_LONGEST_RETRY_S = 5.0
_LINES_AROUND = 6
"""At most so many lines of the live table are not pairs of strikes: two of title, header, the money, two of caption."""
_WORTH_A_RETRY = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.INTERNAL}
"""INTERNAL too: a gateway that is restarted cuts streams with it."""


class Update(NamedTuple):
    """A chain or its analytics, and how many were left out before it."""

    snapshot: chain_pb2.ChainSnapshot | analytics_pb.AnalyticsSnapshot
    skipped: int


async def watch(
    credentials: Credentials, selection: Selection, console: Console, *, greeks: bool, count: int = 0
) -> None:
    """Show an index live: a table in a terminal, otherwise one line per chain.

    Args:
        credentials: The user.
        selection: What to show.
        console: Where.
        greeks: Analytics instead of chains.
        count: End after so many; 0 goes on until cancelled.

    Raises:
        CallError: The selection is refused.
    """
    left = count

    async with GatewayClient(credentials) as client:

        def note(text: str) -> None:
            console.print(text, style="yellow", highlight=False, soft_wrap=True)

        follow = follow_analytics if greeks else follow_chains
        async with aclosing(follow(client, selection, note)) as updates:
            with Live(console=console, auto_refresh=False) if console.is_terminal else nullcontext() as live:
                async for update in updates:
                    if live is not None:
                        live.update(live_table(update, selection, console.size), refresh=True)
                    else:
                        console.print(line_of(update), highlight=False, soft_wrap=True)
                    left -= 1
                    if left == 0:
                        return


async def follow_chains(
    client: GatewayClient, selection: Selection, note: Callable[[str], None]
) -> AsyncGenerator[Update, None]:
    """Yield chains in order, each at most once, across broken connections.

    Raises:
        CallError: The service refuses the request itself, or nobody answers at the first try.
    """
    request = collection_pb.WatchChainsRequest(
        index=selection.index.upper(), bucket=selection.bucket, expiry=selection.expiry
    )
    patience = _Patience(note)
    while True:
        try:
            async for answer in client.stream(client.collection.WatchChains, request):
                patience.renew()
                if answer.HasField("chain"):
                    request.resume_after_epoch = answer.chain.epoch
                    request.resume_after_sequence = answer.chain.sequence
                    yield Update(answer.chain, answer.skipped_count)
        except CallError as error:
            if error.reason == "SEQUENCE_EVICTED":
                note("chains were missed: the stream goes on with the newest; history has the others")
                request.ClearField("resume_after_epoch")
                request.ClearField("resume_after_sequence")
                continue
            await patience.pause(error)


async def follow_analytics(
    client: GatewayClient, selection: Selection, note: Callable[[str], None]
) -> AsyncGenerator[Update, None]:
    """Yield analytics in order, each at most once, across broken connections.

    Raises:
        CallError: The service refuses the request itself, or nobody answers at the first try.
    """
    request = analytics_pb.WatchAnalyticsRequest(
        index=selection.index.upper(), bucket=selection.bucket, expiry=selection.expiry
    )
    patience, last = _Patience(note), (0, 0)
    while True:
        try:
            async for answer in client.stream(client.analytics.WatchAnalytics, request):
                patience.renew()
                # A new stream begins with the newest, which may have been shown already.
                if answer.HasField("analytics") and (position := _position(answer.analytics)) > last:
                    last = position
                    yield Update(answer.analytics, answer.skipped_count)
        except CallError as error:
            await patience.pause(error)


class _Patience:
    """Waits before each further try, ever longer, and says once per outage what is the matter."""

    def __init__(self, note: Callable[[str], None]) -> None:
        self._note = note
        self._retry_s = _FIRST_RETRY_S
        self._connected = self._said = False

    def renew(self) -> None:
        """Be told that something came."""
        self._retry_s, self._connected, self._said = _FIRST_RETRY_S, True, False

    async def pause(self, error: CallError) -> None:
        """Wait, or raise what trying again does not mend."""
        if error.code not in _WORTH_A_RETRY or not (self._connected or error.reason):
            raise error
        if not self._said and error.reason != "STREAM_AGE_REACHED":  # that one is the usual way to move load
            self._note(f"interrupted ({error}); trying again")
            self._said = True
        await asyncio.sleep(self._retry_s * random.uniform(0.5, 1.0))
        self._retry_s = min(2 * self._retry_s, _LONGEST_RETRY_S)


def line_of(update: Update) -> str:
    """Return an update as one line."""
    snapshot = update.snapshot
    parts = [clock(snapshot.event_time), snapshot.index, number(snapshot.spot_inr), f"sequence {snapshot.sequence}"]
    if isinstance(snapshot, analytics_pb.AnalyticsSnapshot):
        front = next((each.summary for each in snapshot.expiries if each.summary.years > 0), None)
        if front is not None:
            parts += [
                f"expiry {front.expiry}",
                f"ATM {strike(front.atm_strike_inr)} IV {percent(front.atm_implied_vol)}",
                f"PCR {number(front.pcr_open_interest)}",
                f"max pain {strike(front.max_pain_inr)}",
            ]
    else:
        expiries = snapshot.expiries
        which = f"expiry {expiries[0].expiry}" if len(expiries) == 1 else f"{len(expiries)} expiries"
        parts.append(f"{which}, {sum(len(each.strike_inr) for each in expiries)} strikes")
    if update.skipped:
        parts.append(f"{update.skipped} skipped")
    return "  ".join(parts)


def live_table(update: Update, selection: Selection, size: ConsoleDimensions) -> RenderableType:
    """Return an update as a table with as many of the wanted strikes as a terminal of this size has lines for."""
    snapshot = update.snapshot
    strikes = min(selection.strikes, max((size.height - _LINES_AROUND) // 2, 0))
    if isinstance(snapshot, analytics_pb.AnalyticsSnapshot):
        analysed = shown_expiries(snapshot, snapshot.expiries, selection)
        return greeks_table(snapshot, analysed[0], strikes, size.width) if analysed else line_of(update)
    expiries = shown_expiries(snapshot, snapshot.expiries, selection)
    return chain_table(snapshot, expiries[0], strikes, size.width) if expiries else line_of(update)


def _position(analytics: analytics_pb.AnalyticsSnapshot) -> tuple[int, int]:
    return analytics.epoch, analytics.sequence
