"""Quotes as the broker's REST tells them: last price, open to close, or all with the depth."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from optrading.market.clock import IST
from optrading.testing.kite.market import Market

_DEPTH = 5


def last_price(market: Market, row: int) -> dict[str, object]:
    """Return token and last price of a row."""
    values = _values(market, row)
    return {"instrument_token": values["token"], "last_price": values["last"] / 100}


def open_high_low_close(market: Market, row: int) -> dict[str, object]:
    """Return the last price and those of the day."""
    values = _values(market, row)
    day = {name: values[name] / 100 for name in ("open", "high", "low", "close")}
    return {**last_price(market, row), "ohlc": day}


def quote(market: Market, row: int) -> dict[str, object]:
    """Return everything the broker knows of a row; the depth has the best bid and ask only."""
    values = _values(market, row)
    levels = {
        side: [_level(values[price], values[quantity]), *(_level(0, 0) for _ in range(_DEPTH - 1))]
        for side, price, quantity in (("buy", "bid", "buy_quantity"), ("sell", "ask", "sell_quantity"))
    }
    return {
        **open_high_low_close(market, row),
        "timestamp": _time(values["exchange_s"]),
        "last_trade_time": _time(values["last_trade_s"]),
        "last_quantity": values["last_quantity"],
        "buy_quantity": values["buy_quantity"],
        "sell_quantity": values["sell_quantity"],
        "volume": values["volume"],
        "average_price": values["average"] / 100,
        "oi": values["interest"],
        "oi_day_high": values["interest_high"],
        "oi_day_low": values["interest_low"],
        "net_change": 0,
        "lower_circuit_limit": 0,
        "upper_circuit_limit": 0,
        "depth": levels,
    }


def _values(market: Market, row: int) -> dict[str, int]:
    values = market.values(np.array([row], dtype=np.intp))
    return {name: int(values[name][0]) for name in values.dtype.names or ()}


def _level(price: int, quantity: int) -> dict[str, object]:
    return {"price": price / 100, "quantity": quantity, "orders": int(price > 0)}


def _time(seconds: int) -> str | None:
    return f"{datetime.fromtimestamp(seconds, UTC).astimezone(IST):%Y-%m-%d %H:%M:%S}" if seconds else None
