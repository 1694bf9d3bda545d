from __future__ import annotations

import base64
import json
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optrading.collection.feeds.kite.packets import FrameError, Mode, decode_frame
from tests.unit.collection.feeds.kite.frames import frame_of, full_packet, index_packet, ltp_packet, quote_packet

TOKEN = 0x00AB02  # of the derivatives of NSE
INDEX = 0x03E909
NUMBERS = st.integers(0, 2**32 - 1)


def published(folder: Path, name: str) -> bytes:
    return base64.b64decode((folder / "kite_mocks" / name).read_text())


def test_zerodhas_own_full_packet_decodes_to_its_twin(real_data: Path) -> None:
    ticks = decode_frame(frame_of([published(real_data, "ticker_full.packet")]))
    twin = json.loads((real_data / "kite_mocks" / "ticker_full.json").read_text())

    assert ticks.token.tolist() == [twin["instrument_token"]]
    assert ticks.mode.tolist() == [Mode.FULL]
    for column, value in (
        (ticks.last, twin["last_price"]),
        (ticks.last_quantity, twin["last_quantity"]),
        (ticks.average, twin["average_price"]),
        (ticks.volume, twin["volume"]),
        (ticks.buy_quantity, twin["buy_quantity"]),
        (ticks.sell_quantity, twin["sell_quantity"]),
        *((getattr(ticks, name), twin["ohlc"][name]) for name in ("open", "high", "low", "close")),
        (ticks.open_interest, twin["oi"]),
        (ticks.open_interest_high, twin["oi_day_high"]),
        (ticks.open_interest_low, twin["oi_day_low"]),
        (ticks.last_trade_s, datetime.fromisoformat(twin["last_trade_time"]).timestamp()),
        (ticks.exchange_s, datetime.fromisoformat(twin["timestamp"]).timestamp()),
    ):
        assert column.tolist() == [value]
    levels = [*twin["depth"]["buy"], *twin["depth"]["sell"]]
    assert ticks.depth_price.tolist() == [[level["price"] for level in levels]]
    assert ticks.depth_quantity.tolist() == [[level["quantity"] for level in levels]]
    assert ticks.depth_orders.tolist() == [[level["orders"] for level in levels]]


def test_zerodhas_own_quote_packet_decodes_to_its_twin(real_data: Path) -> None:
    ticks = decode_frame(frame_of([published(real_data, "ticker_quote.packet")]))
    twin = json.loads((real_data / "kite_mocks" / "ticker_quote.json").read_text())

    assert ticks.token.tolist() == [twin["instrument_token"]]
    assert ticks.mode.tolist() == [Mode.QUOTE]
    assert ticks.last.tolist() == [twin["last_price"]]
    assert ticks.average.tolist() == [twin["average_price"]]
    assert ticks.volume.tolist() == [twin["volume"]]
    assert [getattr(ticks, name)[0] for name in ("open", "high", "low", "close")] == list(twin["ohlc"].values())
    assert np.isnan(ticks.open_interest).all()


def test_the_head_of_the_published_quote_is_the_published_last_price(real_data: Path) -> None:
    twin = json.loads((real_data / "kite_mocks" / "ticker_ltp.json").read_text())
    ticks = decode_frame(frame_of([published(real_data, "ticker_quote.packet")[:8]]))
    assert (ticks.token[0], ticks.last[0], ticks.mode[0]) == (twin["instrument_token"], twin["last_price"], Mode.LTP)


def test_packets_of_every_length_in_one_frame_keep_their_order() -> None:
    ticks = decode_frame(
        frame_of(
            [
                full_packet(TOKEN, 10_000, 500, 700, 1_780_000_000, bid=9_995, ask=10_010),
                ltp_packet(TOKEN + 256, 20_005),
                index_packet(INDEX, 2_421_280, (1, 2, 3, 4), 1_780_000_001),
                quote_packet(TOKEN + 512, 30_000, 900),
                index_packet(INDEX + 256, 5_600_000, (5, 6, 7, 8)),
                full_packet(TOKEN, 10_005, 575, 700, 1_780_000_001),
            ]
        )
    )
    assert ticks.token.tolist() == [TOKEN, TOKEN + 256, INDEX, TOKEN + 512, INDEX + 256, TOKEN]
    assert ticks.last.tolist() == [100.0, 200.05, 24_212.8, 300.0, 56_000.0, 100.05]
    assert ticks.mode.tolist() == [3, 1, 3, 2, 2, 3]
    assert ticks.exchange_s.tolist() == [1_780_000_000, 0, 1_780_000_001, 0, 0, 1_780_000_001]
    assert ticks.is_index.tolist() == [False, False, True, False, True, False]
    assert ticks.open[[2, 4]].tolist() == [0.01, 0.05]
    assert (ticks.depth_price[0, 0], ticks.depth_price[0, 5]) == (99.95, 100.1)
    np.testing.assert_array_equal(ticks.volume, [500, np.nan, np.nan, 900, np.nan, 575])


@pytest.mark.parametrize(
    ("segment", "divisor"), [(1, 100), (2, 100), (3, 10_000_000), (5, 100), (6, 10_000), (12, 10_000)]
)
def test_the_segment_decides_what_a_price_is_divided_by(segment: int, divisor: int) -> None:
    ticks = decode_frame(frame_of([ltp_packet(0x1200 | segment, 123_456_789)]))
    assert ticks.last.tolist() == [123_456_789 / divisor]


@pytest.mark.parametrize("heartbeat", [b"", b"\x00", b"\x00\x00"])
def test_a_heartbeat_has_no_ticks(heartbeat: bytes) -> None:
    assert len(decode_frame(heartbeat)) == 0


def test_a_packet_of_unknown_length_is_left_out_and_counted() -> None:
    ticks = decode_frame(frame_of([ltp_packet(TOKEN, 100), b"x" * 17, ltp_packet(TOKEN + 256, 200)]))
    assert ticks.token.tolist() == [TOKEN, TOKEN + 256]
    assert ticks.refused == 1


@pytest.mark.parametrize(
    "broken",
    [
        frame_of([ltp_packet(TOKEN, 100)])[:-1],
        frame_of([ltp_packet(TOKEN, 100)]) + b"x",
        frame_of([full_packet(TOKEN, 1, 1, 1, 1)] * 3)[:400],
        b"\x00\x02" + frame_of([ltp_packet(TOKEN, 100)])[2:],
        b"\xff\xff",
        b"\x00\x01\x00",
    ],
)
def test_a_frame_that_does_not_add_up_is_refused_whole(broken: bytes) -> None:
    with pytest.raises(FrameError, match="the frame"):
        decode_frame(broken)


@given(st.binary(max_size=600))
def test_garbage_is_refused_or_read_but_never_crashes(garbage: bytes) -> None:
    try:
        ticks = decode_frame(garbage)
    except FrameError:
        return
    assert len(ticks) + ticks.refused == (int.from_bytes(garbage[:2]) if len(garbage) > 1 else 0)


@given(st.lists(st.tuples(st.sampled_from("liqf"), NUMBERS, NUMBERS, NUMBERS, NUMBERS), max_size=30))
def test_what_was_packed_is_read(rows: list[tuple[str, int, int, int, int]]) -> None:
    packets = []
    for kind, token, last, volume, interest in rows:
        if kind == "l":
            packets.append(ltp_packet(token, last))
        elif kind == "i":
            packets.append(index_packet(token, last % 2**31, (1, 2, 3, 4), volume))
        elif kind == "q":
            packets.append(quote_packet(token, last % 2**31, volume))
        else:
            packets.append(full_packet(token, last % 2**31, volume, interest % 2**31, 1_780_000_000))
    ticks = decode_frame(frame_of(packets))

    divisors = [{3: 1e7, 6: 1e4, 12: 1e4}.get(token & 0xFF, 100.0) for _, token, *_ in rows]
    assert ticks.token.tolist() == [token for _, token, *_ in rows]
    assert ticks.last.tolist() == [
        (last if kind == "l" else last % 2**31) / divisor
        for (kind, _, last, *_), divisor in zip(rows, divisors, strict=True)
    ]
    for row, (kind, _, _, volume, interest) in enumerate(rows):
        assert ticks.volume[row] == volume if kind in "qf" else np.isnan(ticks.volume[row])
        assert ticks.open_interest[row] == interest % 2**31 if kind == "f" else np.isnan(ticks.open_interest[row])
        assert ticks.exchange_s[row] == {"i": volume, "f": 1_780_000_000}.get(kind, 0)
