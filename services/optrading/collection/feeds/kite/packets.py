"""Kite's binary frames as columns: every packet of a frame at once, by the layout of its length.

A frame is a count and, for each packet, its length and its bytes, all big-endian. A packet's length says what it holds:
8 a last price, 28 and 32 an index, 44 a quote, 184 a quote with open interest, exchange time and five levels of depth.

Source: Kite Connect 3 documentation, "WebSocket streaming", binary market data.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, fields
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from optrading.market.chain import Floats

Int64s = NDArray[np.int64]

INDEX_SEGMENT = 9
"""Low byte of the tokens of indices."""

_DIVISORS = np.full(256, 100.0)  # paise, by the low byte of the token
_DIVISORS[3] = 10_000_000.0  # currencies of NSE
_DIVISORS[[6, 12]] = 10_000.0  # currencies of BSE, commodities of NSE

_LEVELS = 10
"""Five bids, then five asks."""

_PRICES = ("last", "average", "open", "high", "low", "close")
_HEAD = [(name, ">u4") for name in ("token", "last")]
_QUOTE = [
    *_HEAD,
    *(
        (name, ">u4")
        for name in (
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
    ),
]
_DEPTH = np.dtype([("quantity", ">u4"), ("price", ">u4"), ("orders", ">u2"), ("_", "V2")])
_FULL = [
    *_QUOTE,
    *(
        (name, ">u4")
        for name in ("last_trade_s", "open_interest", "open_interest_high", "open_interest_low", "exchange_s")
    ),
    ("depth", _DEPTH, (_LEVELS,)),
]
_INDEX_QUOTE = [*_HEAD, *((name, ">u4") for name in ("high", "low", "open", "close")), ("_", "V4")]


class Mode(IntEnum):
    """How much a packet says."""

    LTP = 1
    QUOTE = 2
    FULL = 3


_LAYOUTS = {
    8: (Mode.LTP, np.dtype(_HEAD)),
    28: (Mode.QUOTE, np.dtype(_INDEX_QUOTE)),
    32: (Mode.FULL, np.dtype([*_INDEX_QUOTE, ("exchange_s", ">u4")])),
    44: (Mode.QUOTE, np.dtype(_QUOTE)),
    184: (Mode.FULL, np.dtype(_FULL)),
}
_COUNT_BYTES = 2
_LENGTH = struct.Struct(">H")


class FrameError(ValueError):
    """A frame's count and lengths do not add up: nothing of it can be trusted."""


@dataclass(frozen=True, slots=True, eq=False)
class Ticks:
    """What a frame says, a row per packet in the frame's order; what a packet does not carry is NaN, or 0 in times.

    Prices are rupees, 0 where the broker sends 0 (nothing traded, nobody quotes). Every column has shape (N,), those of
    the depth (N, 10): five bids from the best on, then five asks.

    Attributes:
        token: Instrument token.
        mode: `Mode` of the packet.
        last: Last traded price, or value of the index.
        average: Average price of the day.
        open: First price of the day.
        high: Highest price of the day.
        low: Lowest price of the day.
        close: Closing price of the day before.
        last_quantity: Units of the last trade.
        volume: Units traded today.
        buy_quantity: Units wanted.
        sell_quantity: Units offered.
        open_interest: Units.
        open_interest_high: Highest of the day, units.
        open_interest_low: Lowest of the day, units.
        last_trade_s: When it last traded, seconds since 1970 UTC.
        exchange_s: When the exchange said this, seconds since 1970 UTC.
        depth_price: Prices.
        depth_quantity: Units.
        depth_orders: Number of orders.
        refused: Packets of a length that nobody knows; they are in no row.
    """

    token: Int64s
    mode: Int64s
    last: Floats
    average: Floats
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    last_quantity: Floats
    volume: Floats
    buy_quantity: Floats
    sell_quantity: Floats
    open_interest: Floats
    open_interest_high: Floats
    open_interest_low: Floats
    last_trade_s: Int64s
    exchange_s: Int64s
    depth_price: Floats
    depth_quantity: Floats
    depth_orders: Floats
    refused: int = 0

    def __len__(self) -> int:
        """Return the number of packets that were read."""
        return len(self.token)

    def take(self, rows: NDArray[np.bool_]) -> Ticks:
        """Return these rows only."""
        return Ticks(**{name: getattr(self, name)[rows] for name in _COLUMNS}, refused=self.refused)

    @property
    def is_index(self) -> NDArray[np.bool_]:
        """Return which rows are of an index."""
        return np.asarray(self.token & 0xFF == INDEX_SEGMENT)


_COLUMNS = tuple(field.name for field in fields(Ticks) if field.name != "refused")
_INTS = frozenset({"token", "mode", "last_trade_s", "exchange_s"})
_DEPTHS = frozenset({"depth_price", "depth_quantity", "depth_orders"})


def decode_frame(frame: bytes) -> Ticks:
    """Return the ticks of one binary message; a heartbeat (a single byte) has none.

    Raises:
        FrameError: The count and the lengths do not add up to the frame.
    """
    if len(frame) < _COUNT_BYTES:
        return _join([], 0)
    (count,) = _LENGTH.unpack_from(frame)
    alike = _all_alike(frame, count)
    if alike is not None:
        return alike
    places: dict[int, list[int]] = {}
    numbers: dict[int, list[int]] = {}
    at = _COUNT_BYTES
    for number in range(count):
        if at + _COUNT_BYTES > len(frame):
            raise FrameError(f"the frame ends before packet {number + 1} of {count}")
        (length,) = _LENGTH.unpack_from(frame, at)
        at += _COUNT_BYTES
        places.setdefault(length, []).append(at)
        numbers.setdefault(length, []).append(number)
        at += length
    if at != len(frame):
        raise FrameError(f"the frame has {len(frame)} bytes; its {count} packets need {at}")
    groups = [_gather(frame, length, at) for length, at in places.items() if length in _LAYOUTS]
    order = [number for length in places if length in _LAYOUTS for number in numbers[length]]
    return _join(groups, count - len(order), order)


def _all_alike(frame: bytes, count: int) -> Ticks | None:
    """Return the ticks of a frame whose packets all have the length of the first; None for any other."""
    if not count or len(frame) < 2 * _COUNT_BYTES:
        return None
    (length,) = _LENGTH.unpack_from(frame, _COUNT_BYTES)
    if length not in _LAYOUTS or len(frame) != _COUNT_BYTES + count * (length + _COUNT_BYTES):
        return None
    mode, layout = _LAYOUTS[length]
    framed = np.frombuffer(frame, np.dtype([("length", ">u2"), ("packet", layout)]), count, _COUNT_BYTES)
    if (framed["length"] != length).any():
        return None
    return _join([_columns(mode, framed["packet"])], 0)


def _gather(frame: bytes, length: int, places: list[int]) -> dict[str, np.ndarray]:
    mode, layout = _LAYOUTS[length]
    packets = b"".join(frame[at : at + length] for at in places)
    return _columns(mode, np.frombuffer(packets, layout))


def _columns(mode: Mode, packets: np.ndarray) -> dict[str, np.ndarray]:
    """Return the columns of packets of one layout, in rupees and native numbers."""
    present = packets.dtype.names or ()
    token = packets["token"].astype(np.int64)
    divisor = _DIVISORS[token & 0xFF]
    found: dict[str, np.ndarray] = {"token": token, "mode": np.full(len(token), mode, dtype=np.int64)}
    for name in _COLUMNS:
        if name in found or name not in present:
            continue
        found[name] = packets[name].astype(np.int64 if name in _INTS else np.float64)
        if name in _PRICES:
            found[name] /= divisor  # dividing gives the nearest float to the decimal price; a factor of 0.01 does not
    if "depth" in present:
        depth = packets["depth"]
        found["depth_price"] = depth["price"] / divisor[:, None]
        found["depth_quantity"] = depth["quantity"].astype(np.float64)
        found["depth_orders"] = depth["orders"].astype(np.float64)
    return found


def _join(groups: list[dict[str, np.ndarray]], refused: int, order: list[int] | None = None) -> Ticks:
    """Put groups together, filling what a group does not have, in the frame's order."""
    joined = {
        name: np.concatenate([_filled(name, group) for group in groups] or [_nothing(name, 0)]) for name in _COLUMNS
    }
    if order is not None and len(groups) > 1:
        rows = np.argsort(order)
        joined = {name: values[rows] for name, values in joined.items()}
    return Ticks(**joined, refused=refused)


def _filled(name: str, group: dict[str, np.ndarray]) -> np.ndarray:
    values = group.get(name)
    return values if values is not None else _nothing(name, len(group["token"]))


def _nothing(name: str, size: int) -> np.ndarray:
    if name in _INTS:
        return np.zeros(size, dtype=np.int64)
    return np.full((size, _LEVELS) if name in _DEPTHS else size, np.nan)
