"""Instrument dumps for tests."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count

HEADER = (
    "instrument_token,exchange_token,tradingsymbol,name,last_price,expiry,strike,tick_size,lot_size,instrument_type,"
    "segment,exchange"
)


def row(
    token: object = 11_111,
    name: object = "NIFTY",
    expiry: object = "2026-08-25",
    strike: object = "25000.0",
    lot_size: object = 65,
    kind: object = "CE",
    exchange: object = "NFO",
) -> str:
    """Return a line of a dump."""
    return f"{token},{token},ANYTHING,{name},0.0,{expiry},{strike},0.05,{lot_size},{kind},{exchange}-OPT,{exchange}"


def lines(*rows: str) -> bytes:
    """Return a dump of these lines."""
    return "\n".join((HEADER, *rows, "")).encode()


def dump(*expiries: tuple[str, int, Iterable[float]], name: str = "NIFTY") -> bytes:
    """Return a dump of NIFTY: expiry, lot size and strikes, each with call and put; tokens count from 1."""
    tokens = count(1)
    return lines(
        *(
            row(next(tokens), name, expiry, float(strike), lot_size, kind)
            for expiry, lot_size, strikes in expiries
            for strike in strikes
            for kind in ("CE", "PE")
        )
    )
