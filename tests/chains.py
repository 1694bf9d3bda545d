"""Small chains for tests: two expiries, three strikes, every value different."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np

from optrading.market.chain import Chain, ExpiryChain, Legs, Position, column
from optrading.market.codec import encode_chain
from optrading.market.v1 import chain_pb2

OPENING = datetime(2026, 8, 18, 3, 45, tzinfo=UTC)
"""09:15 IST, an expiry day of NIFTY."""
THIS_WEEK = date(2026, 8, 18)
NEXT_WEEK = date(2026, 8, 25)
STRIKES = (24_900.0, 24_950.0, 25_000.0)


def small_chain(
    index: str = "NIFTY", minute: int = 0, *, spot_inr: float = 24_951.5, strikes: tuple[float, ...] = STRIKES
) -> Chain:
    """Return a chain so many minutes after the opening; its spot and prices tell the minute."""
    event_time = OPENING + timedelta(minutes=minute)
    return Chain(
        index=index,
        event_time=event_time,
        receive_time=event_time + timedelta(milliseconds=250),
        spot_inr=spot_inr + minute / 100,
        expiries=tuple(_expiry(day, strikes, spot_inr, minute) for day in (THIS_WEEK, NEXT_WEEK)),
        source="synthetic",
    )


def small_message(position: Position, index: str = "NIFTY") -> chain_pb2.ChainSnapshot:
    """Return the message of a small chain at `position`, as many minutes after the opening as its sequence."""
    return encode_chain(small_chain(index, position.sequence), position)


def _expiry(expiry: date, strikes: tuple[float, ...], spot_inr: float, minute: int) -> ExpiryChain:
    strike_inr = column(strikes)
    worth = 60.0 + minute / 20 + (expiry - THIS_WEEK).days
    call = np.maximum(spot_inr - strike_inr, 0.0) + worth
    put = np.maximum(strike_inr - spot_inr, 0.0) + worth
    return ExpiryChain(
        expiry=expiry,
        lot_size=65,
        strike_inr=strike_inr,
        call=_legs(call, 1_000.0),
        put=_legs(put, 2_000.0),
        atm_offset=np.zeros(len(strikes), dtype=np.int32),
    )


def _legs(price: np.ndarray, units: float) -> Legs:
    volume = units + 65.0 * np.arange(len(price))
    return Legs(
        column(price), column(price - 0.5), column(price + 0.5), column(volume), column(2 * volume), column(0 * volume)
    )
