"""Frames as the broker writes them, read by Kite's own client and held against Kite's own packets."""

from __future__ import annotations

import base64
import json
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kiteconnect import KiteTicker

from optrading.collection.feeds.kite.packets import decode_frame
from optrading.testing.kite.packets import VALUES, Mode, encode_packets, frames

OPTION, INDEX = 45104 << 8 | 2, 1001 << 8 | 9
TICKER = KiteTicker("key", "token")


def values(**fields: int) -> np.ndarray:
    row = np.zeros(1, dtype=VALUES)
    for name, value in fields.items():
        row[name] = value
    return row


def parsed(row: np.ndarray, mode: Mode, *, index: bool = False) -> dict[str, object]:
    (frame,) = frames(encode_packets(row, mode, index=index), 10)
    (tick,) = TICKER._parse_binary(frame)
    return tick


@pytest.mark.parametrize(
    ("index", "mode", "size"),
    [
        (False, Mode.LTP, 8),
        (False, Mode.QUOTE, 44),
        (False, Mode.FULL, 184),
        (True, Mode.LTP, 8),
        (True, Mode.QUOTE, 28),
        (True, Mode.FULL, 32),
    ],
)
def test_a_packet_has_the_size_of_its_mode_and_segment(index: bool, mode: Mode, size: int) -> None:
    (packet,) = encode_packets(values(token=INDEX if index else OPTION), mode, index=index)
    assert int.from_bytes(packet[:2], "big") == size == len(packet) - 2


def test_kites_client_reads_every_field_of_a_full_packet() -> None:
    row = values(
        token=OPTION, last=12345, last_quantity=65, average=12000, volume=6500, buy_quantity=130, sell_quantity=195,
        open=11000, high=13000, low=10950, close=11500, last_trade_s=1_787_000_000, interest=99_000,
        interest_high=99_500, interest_low=90_000, exchange_s=1_787_000_001, bid=12340, ask=12350,
    )  # fmt: skip
    tick = parsed(row, Mode.FULL)
    nothing = {"quantity": 0, "price": 0.0, "orders": 0}
    assert tick == {
        "tradable": True,
        "mode": "full",
        "instrument_token": OPTION,
        "last_price": 123.45,
        "last_traded_quantity": 65,
        "average_traded_price": 120.0,
        "volume_traded": 6500,
        "total_buy_quantity": 130,
        "total_sell_quantity": 195,
        "ohlc": {"open": 110.0, "high": 130.0, "low": 109.5, "close": 115.0},
        "change": pytest.approx((123.45 - 115.0) * 100 / 115.0),
        "last_trade_time": datetime.fromtimestamp(1_787_000_000),
        "oi": 99_000,
        "oi_day_high": 99_500,
        "oi_day_low": 90_000,
        "exchange_timestamp": datetime.fromtimestamp(1_787_000_001),
        "depth": {
            "buy": [{"quantity": 130, "price": 123.4, "orders": 1}, *[nothing] * 4],
            "sell": [{"quantity": 195, "price": 123.5, "orders": 1}, *[nothing] * 4],
        },
    }


def test_kites_client_reads_an_index() -> None:
    row = values(token=INDEX, last=2_495_050, open=2_490_000, high=2_500_000, low=2_480_000, close=2_496_000)
    row["exchange_s"] = 1_787_000_000
    tick = parsed(row, Mode.FULL, index=True)
    assert (tick["tradable"], tick["last_price"], tick["mode"]) == (False, 24950.5, "full")
    assert tick["ohlc"] == {"high": 25000.0, "low": 24800.0, "open": 24900.0, "close": 24960.0}
    assert tick["exchange_timestamp"] == datetime.fromtimestamp(1_787_000_000)


def test_zerodhas_own_packets_are_written_byte_by_byte(real_data: Path) -> None:
    for name, mode in (("quote", Mode.QUOTE), ("full", Mode.FULL)):
        twin = json.loads((real_data / "kite_mocks" / f"ticker_{name}.json").read_text())
        genuine = base64.b64decode((real_data / "kite_mocks" / f"ticker_{name}.packet").read_text())
        time_s = round(datetime.fromisoformat(twin["timestamp"]).timestamp()) if "timestamp" in twin else 0
        row = values(
            token=twin["instrument_token"],
            last=round(twin["last_price"] * 100),
            last_quantity=twin["last_quantity"],
            average=round(twin["average_price"] * 100),
            volume=twin["volume"],
            buy_quantity=twin["buy_quantity"],
            sell_quantity=twin["sell_quantity"],
            **{price: round(twin["ohlc"][price] * 100) for price in ("open", "high", "low", "close")},
            last_trade_s=time_s,
            exchange_s=time_s,
        )
        (packet,) = encode_packets(row, mode, index=False)
        # Depth is what the real exchange had: five levels of its own.
        assert packet[2:66] == genuine[:64]
        assert len(packet) - 2 == len(genuine)


@given(st.integers(0, 30), st.integers(1, 10))
def test_packets_are_dealt_to_frames_in_their_order(count: int, most: int) -> None:
    rows = np.zeros(count, dtype=VALUES)
    rows["token"] = np.arange(count) * 256 + 2
    messages = list(frames(encode_packets(rows, Mode.LTP, index=False), most))
    ticks = [TICKER._parse_binary(message) for message in messages]
    assert [tick["instrument_token"] for part in ticks for tick in part] == rows["token"].tolist()
    assert all(len(part) <= most for part in ticks)


def test_what_does_not_fit_into_a_field_is_its_largest_value() -> None:
    assert parsed(values(token=OPTION, volume=2**40), Mode.QUOTE)["volume_traded"] == 2**32 - 1


@given(st.lists(st.tuples(st.integers(0, 2**24 - 1), st.integers(0, 2**31), st.integers(0, 2**32 - 1)), max_size=5))
def test_the_feeds_decoder_reads_what_the_broker_writes(legs: list[tuple[int, int, int]]) -> None:
    rows = np.zeros(len(legs), dtype=VALUES)
    for row, (contract, price, units) in enumerate(legs):
        rows[row]["token"], rows[row]["last"], rows[row]["bid"] = contract << 8 | 5, price, price // 2
        rows[row]["volume"], rows[row]["interest"], rows[row]["exchange_s"] = units, units // 3, units
    for message in frames(encode_packets(rows, Mode.FULL, index=False), 10):
        ticks = decode_frame(message)
        np.testing.assert_array_equal(ticks.token, rows["token"])
        np.testing.assert_array_equal(ticks.last, rows["last"] / 100)
        np.testing.assert_array_equal(ticks.depth_price[:, 0], rows["bid"] / 100)
        np.testing.assert_array_equal(ticks.volume, rows["volume"])
        np.testing.assert_array_equal(ticks.open_interest, rows["interest"])
        np.testing.assert_array_equal(ticks.exchange_s, rows["exchange_s"])
