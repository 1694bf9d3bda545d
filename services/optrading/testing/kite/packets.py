"""Kite's binary frames, written: one packet per instrument, 8 to 184 bytes by mode and segment, many to a frame.

The layouts are those of Kite Connect's documentation, https://kite.trade/docs/connect/v3/websocket/.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

HEARTBEAT = b"\x00"
"""What is sent when there is nothing to say."""

_LARGEST = 2**32 - 1

Values = NDArray[np.void]
"""Present values of instruments: a structured array of `VALUES`."""

VALUES = np.dtype(
    [
        (name, np.int64)
        for name in (
            "token",
            "last",
            "last_quantity",
            "average",
            "volume",
            "buy_quantity",
            "sell_quantity",
            "open",
            "high",
            "low",
            "close",
            "last_trade_s",
            "interest",
            "interest_high",
            "interest_low",
            "exchange_s",
            "bid",
            "ask",
        )
    ]
)
"""Prices in paise, quantities in units, times in seconds since 1970; 0 where nothing is known, as Kite has it."""

_LTP = ("token", "last")
_INDEX_QUOTE = (*_LTP, "high", "low", "open", "close", "change")
_QUOTE = (
    *_LTP,
    "last_quantity",
    "average",
    "volume",
    "buy_quantity",
    "sell_quantity",
    "open",
    "high",
    "low",
    "close",
)
_FULL = (*_QUOTE, "last_trade_s", "interest", "interest_high", "interest_low", "exchange_s")
_DEPTH_LEVEL = np.dtype([("quantity", ">u4"), ("price", ">u4"), ("orders", ">u2"), ("padding", ">u2")])


class Mode(IntEnum):
    """How much of an instrument a client wants."""

    LTP = 0
    QUOTE = 1
    FULL = 2


def _packet(*names: str, depth: bool = False) -> np.dtype[np.void]:
    fields: list[tuple[str, str] | tuple[str, np.dtype[np.void], tuple[int]]] = [("length", ">u2")]
    fields += [(name, ">u4") for name in names]
    if depth:
        fields += [("buy", _DEPTH_LEVEL, (5,)), ("sell", _DEPTH_LEVEL, (5,))]
    return np.dtype(fields)


_TRADABLE = {Mode.LTP: _packet(*_LTP), Mode.QUOTE: _packet(*_QUOTE), Mode.FULL: _packet(*_FULL, depth=True)}
_INDEX = {Mode.LTP: _packet(*_LTP), Mode.QUOTE: _packet(*_INDEX_QUOTE), Mode.FULL: _packet(*_INDEX_QUOTE, "exchange_s")}


def encode_packets(values: Values, mode: Mode, *, index: bool) -> Sequence[bytes]:
    """Return one packet per row of `values`, each behind its length.

    Args:
        values: Shape (N,).
        mode: How much each packet tells.
        index: Whether they are indices, which have packets of their own.
    """
    layout = (_INDEX if index else _TRADABLE)[mode]
    packets = np.zeros(len(values), dtype=layout)
    packets["length"] = layout.itemsize - 2
    for name in layout.names or ():
        if name in (VALUES.names or ()):
            packets[name] = np.clip(values[name], 0, _LARGEST)
    if index and mode is not Mode.LTP:
        # Signed: the index may have fallen. The field is what two's complement makes of it.
        packets["change"] = (values["last"] - values["close"]).astype(np.int32).view(np.uint32)
    if not index and mode is Mode.FULL:
        for side, price, quantity in (("buy", "bid", "buy_quantity"), ("sell", "ask", "sell_quantity")):
            best = packets[side][:, 0]
            best["price"] = values[price]
            best["quantity"] = np.clip(values[quantity], 0, _LARGEST)
            best["orders"] = values[price] > 0
    content, size = packets.tobytes(), layout.itemsize
    return [content[start : start + size] for start in range(0, len(content), size)]


def frames(packets: Sequence[bytes], packets_per_frame: int) -> Iterator[bytes]:
    """Yield binary messages that hold `packets` in their order.

    Args:
        packets: What `encode_packets` returned.
        packets_per_frame: Most packets in one message, 1 to 65535.
    """
    for start in range(0, len(packets), packets_per_frame):
        part = packets[start : start + packets_per_frame]
        yield b"".join((len(part).to_bytes(2, "big"), *part))
