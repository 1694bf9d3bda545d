"""Kite's frames to columns, beside the broker's own client doing the same."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.measure import Row, compare
from optrading.collection.feeds.kite.packets import Ticks, decode_frame

_PACKETS = 500
_PRICES = {"last_price": "last", "average_traded_price": "average"}
_COUNTS = {
    "last_traded_quantity": "last_quantity",
    "volume_traded": "volume",
    "total_buy_quantity": "buy_quantity",
    "total_sell_quantity": "sell_quantity",
    "oi": "open_interest",
    "oi_day_high": "open_interest_high",
    "oi_day_low": "open_interest_low",
}


def rows() -> Iterator[Row]:
    """Yield the ticks per second of both on frames of 500 full packets, after they were seen to agree."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its dependencies announce their plans
        from kiteconnect import KiteTicker  # noqa: PLC0415  # brings Twisted along
    peer = KiteTicker("key", "token")._parse_binary
    frame = _frame()
    check_same(decode_frame(frame), peer(frame))
    name = f"Kite frames of {_PACKETS} full packets"
    yield compare(
        name, "ticks", _PACKETS, lambda: decode_frame(frame), "KiteTicker of kiteconnect", lambda: peer(frame)
    )


def check_same(ticks: Ticks, others: list[dict[str, Any]]) -> None:
    """Make sure that both read the same values.

    Raises:
        AssertionError: They do not.
    """
    assert ticks.token.tolist() == [other["instrument_token"] for other in others]
    for theirs, ours in {**_PRICES, **_COUNTS}.items():
        assert getattr(ticks, ours).tolist() == [other[theirs] for other in others], theirs
    for name in ("open", "high", "low", "close"):
        assert getattr(ticks, name).tolist() == [other["ohlc"][name] for other in others], name
    for row, other in enumerate(others):
        levels = [*other["depth"]["buy"], *other["depth"]["sell"]]
        assert ticks.depth_price[row].tolist() == [level["price"] for level in levels]
        assert ticks.depth_quantity[row].tolist() == [level["quantity"] for level in levels]
        assert ticks.depth_orders[row].tolist() == [level["orders"] for level in levels]
        assert ticks.exchange_s[row] == other["exchange_timestamp"].timestamp()
        assert ticks.last_trade_s[row] == other["last_trade_time"].timestamp()


def _frame() -> bytes:
    random = np.random.default_rng(1)
    packets = []
    for number in range(_PACKETS):
        numbers = random.integers(1, 10_000_000, 14)
        head = struct.pack(">11I", number << 8 | 2, *numbers[:10])
        middle = struct.pack(">5I", 1_780_000_000 + number, *numbers[10:13], 1_780_000_001 + number)
        depth = b"".join(struct.pack(">IIHH", *random.integers(1, 60_000, 3), 0) for _ in range(10))
        packets.append(head + middle + depth)
    return struct.pack(">H", _PACKETS) + b"".join(struct.pack(">H", len(packet)) + packet for packet in packets)
