"""`optrading chain` and `optrading greeks`: one answer, shown as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TypeVar

from rich.console import Console

from optrading.analytics.v1 import analytics_service_pb2 as analytics_pb
from optrading.cli.chain_table import chain_table, greeks_table
from optrading.cli.client import GatewayClient
from optrading.collection.v1 import collection_service_pb2 as collection_pb
from optrading.local.credentials import Credentials
from optrading.market.clock import expiry_instant
from optrading.market.codec import from_timestamp
from optrading.market.v1 import chain_pb2

ExpiryT = TypeVar("ExpiryT", chain_pb2.ExpiryChain, analytics_pb.ExpiryAnalytics)


@dataclass(frozen=True, slots=True)
class Selection:
    """What of an index to show.

    Attributes:
        index: Symbol; any case.
        bucket: Such as `this_week`; empty when an expiry is given or the nearest is wanted.
        expiry: YYYY-MM-DD, or empty.
        strikes: How many strikes on each side of the money.
    """

    index: str
    bucket: str = ""
    expiry: str = ""
    strikes: int = 10


async def show_chain(credentials: Credentials, selection: Selection, console: Console) -> None:
    """Print the newest chain.

    Raises:
        CallError: It cannot be had; the text says why.
    """
    request = collection_pb.GetChainRequest(
        index=selection.index.upper(), bucket=selection.bucket, expiry=selection.expiry
    )
    async with GatewayClient(credentials) as client:
        chain = (await client.call(client.collection.GetChain, request)).chain
    for expiry in shown_expiries(chain, chain.expiries, selection):
        console.print(chain_table(chain, expiry, selection.strikes, console.width))
    _print_others(console, chain.expiries, selection)


async def show_greeks(credentials: Credentials, selection: Selection, console: Console) -> None:
    """Print implied volatilities and Greeks of the newest chain.

    Raises:
        CallError: They cannot be had; the text says why.
    """
    request = analytics_pb.GetGreeksRequest(
        index=selection.index.upper(), bucket=selection.bucket, expiry=selection.expiry
    )
    async with GatewayClient(credentials) as client:
        analytics = (await client.call(client.analytics.GetGreeks, request)).analytics
    for expiry in shown_expiries(analytics, analytics.expiries, selection):
        console.print(greeks_table(analytics, expiry, selection.strikes, console.width))
    _print_others(console, analytics.expiries, selection)


def shown_expiries(
    snapshot: chain_pb2.ChainSnapshot | analytics_pb.AnalyticsSnapshot,
    expiries: Sequence[ExpiryT],
    selection: Selection,
) -> Sequence[ExpiryT]:
    """Return what was asked for; when nothing was, the nearest expiry that had not expired, or the last one."""
    if selection.bucket or selection.expiry or not expiries:
        return expiries
    now = from_timestamp(snapshot.event_time)
    return [next((each for each in expiries if expiry_instant(date.fromisoformat(each.expiry)) > now), expiries[-1])]


def _print_others(console: Console, expiries: Sequence[ExpiryT], selection: Selection) -> None:
    if not (selection.bucket or selection.expiry) and len(expiries) > 1:
        console.print("expiries: " + ", ".join(each.expiry for each in expiries), style="dim", highlight=False)
