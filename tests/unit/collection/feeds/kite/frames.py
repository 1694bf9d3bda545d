"""Kite's frames, packed field by field: independent of the decoder, for its tests."""

from __future__ import annotations

import struct
from collections.abc import Sequence


def frame_of(packets: Sequence[bytes]) -> bytes:
    return struct.pack(">H", len(packets)) + b"".join(struct.pack(">H", len(packet)) + packet for packet in packets)


def ltp_packet(token: int, last: int) -> bytes:
    return struct.pack(">II", token, last)


def index_packet(token: int, last: int, ohlc: tuple[int, int, int, int], exchange_s: int | None = None) -> bytes:
    first, high, low, close = ohlc
    packet = struct.pack(">IIIIIIi", token, last, high, low, first, close, last - close)
    return packet if exchange_s is None else packet + struct.pack(">I", exchange_s)


def quote_packet(token: int, last: int, volume: int, ohlc: tuple[int, int, int, int] = (0, 0, 0, 0)) -> bytes:
    return struct.pack(">IIIIIIIIIII", token, last, 75, last + 1, volume, 11, 12, *ohlc)


def full_packet(
    token: int, last: int, volume: int, open_interest: int, exchange_s: int, bid: int = 0, ask: int = 0
) -> bytes:
    head = quote_packet(token, last, volume, (1, 2, 3, 4))
    middle = struct.pack(">IIIII", exchange_s - 1, open_interest, open_interest + 5, 7, exchange_s)
    levels = [(50, bid, 2)] + [(0, 0, 0)] * 4 + [(60, ask, 3)] + [(0, 0, 0)] * 4
    return (
        head + middle + b"".join(struct.pack(">IIHH", quantity, price, orders, 0) for quantity, price, orders in levels)
    )
