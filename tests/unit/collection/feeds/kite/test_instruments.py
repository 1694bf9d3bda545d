from __future__ import annotations

import gzip
from datetime import date
from pathlib import Path

import pytest

from optrading.collection.feeds.base import FeedError
from optrading.collection.feeds.kite.instruments import read_instruments
from optrading.market.indices import INDICES
from tests.unit.collection.feeds.kite.dumps import HEADER, dump, lines, row


def test_contracts_are_arranged_by_index_expiry_and_strike() -> None:
    content = lines(
        row(4, expiry="2026-08-25", strike="25050", kind="PE"),
        row(3, expiry="2026-08-25", strike="25000", kind="CE"),
        row(5, expiry="2026-08-25", strike="25050.00", kind="CE"),
        row(2, expiry="2026-08-18", strike="24950", kind="PE", lot_size=75),
        row(1, name="SENSEX", exchange="BFO", lot_size=20),
    )
    instruments = read_instruments(content)
    assert instruments.indices == ("NIFTY", "SENSEX")
    assert instruments.expiries("NIFTY") == (date(2026, 8, 18), date(2026, 8, 25))
    near, far = instruments.ladders("NIFTY")
    assert (near.lot_size, far.lot_size) == (75, 65)
    assert far.strike_inr.tolist() == [25_000.0, 25_050.0]
    assert (far.call_token.tolist(), far.put_token.tolist()) == ([3, 5], [0, 4])
    assert (near.call_token.tolist(), near.put_token.tolist()) == ([0], [2])
    assert instruments.ladders("BANKEX") == ()


def test_what_is_no_option_of_ours_is_passed_over_without_a_look_at_its_values() -> None:
    others = (
        row("x", name="RELIANCE", expiry="", strike="x", lot_size="x"),
        row(7, kind="FUT", strike="0.0"),
        row(256265, kind="EQ", expiry="", strike=0, lot_size=0, exchange="NSE"),
        row(8, exchange="NSEIX"),
        row(9, name="SENSEX", exchange="NFO"),
        "",
    )
    instruments = read_instruments(lines(*others, row()))
    assert instruments.indices == ("NIFTY",)
    assert instruments.ladders("NIFTY")[0].call_token.tolist() == [11_111]


def test_a_dump_can_be_a_file_gzipped_and_its_columns_in_any_order(tmp_path: Path) -> None:
    path = tmp_path / "dump.csv.gz"
    path.write_bytes(gzip.compress(b"\xef\xbb\xbf" + dump(("2026-08-25", 65, (25_000,)))))
    assert read_instruments(path).ladders("NIFTY")[0].put_token.tolist() == [2]
    swapped = "\n".join(",".join(reversed(line.split(","))) for line in (HEADER, row())).encode()
    assert read_instruments(swapped).ladders("NIFTY")[0].call_token.tolist() == [11_111]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (row("x"), "line 3: invalid literal for int.*'x'"),
        (row(0), "line 3: token, strike and lot_size must be greater than 0"),
        (row(expiry="25-08-2026"), "line 3: Invalid isoformat string: '25-08-2026'"),
        (row(expiry=""), "line 3: Invalid isoformat string"),
        (row(strike="nan"), "line 3: token, strike and lot_size"),
        (row(strike="inf"), "line 3: token, strike and lot_size"),
        (row(strike="25,000"), "line 3: it has 13 of 12 columns"),
        (row(lot_size=0), "line 3: token, strike and lot_size"),
        ("11,12,ANYTHING", "line 3: it has 3 of 12 columns"),
        (row(1, strike=25_100), "line 3: its token or its contract is in line 2 already"),
        (row(99), "line 3: its token or its contract is in line 2 already"),
        (row(99, strike=25_100, lot_size=75), "line 3: lot size 75, but 65 for the same expiry in line 2"),
    ],
)
def test_a_row_that_cannot_be_is_named_with_its_line(wrong: str, said: str) -> None:
    with pytest.raises(FeedError, match=f"^instruments: {said}") as caught:
        read_instruments(lines(row(1), wrong))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "it is no instrument dump: the columns instrument_token, name, "),
        (b'{"status": "error", "message": "Invalid session"}', "it is no instrument dump: the columns"),
        (HEADER.replace("lot_size", "lots").encode(), "it is no instrument dump: the columns lot_size are missing"),
        (b"\xff\xfe\x00\x01", "it is no instrument dump"),
        # Without the time of day in it: every process of a parallel run must name this test alike.
        (gzip.compress(dump(("2026-08-25", 65, (25_000,))), mtime=0)[:-20], "it cannot be read"),
        (lines(), "no option of NIFTY, BANKNIFTY, .* is in it"),
    ],
)
def test_what_is_no_dump_is_one_clear_line(content: bytes, said: str) -> None:
    with pytest.raises(FeedError, match=f"^instruments: {said}"):
        read_instruments(content)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FeedError, match=r"none\.csv: there is no such file"):
        read_instruments(tmp_path / "none.csv")


def test_the_whole_dump_of_august_2026_is_read(real_data: Path) -> None:
    instruments = read_instruments(real_data / "kite_instruments" / "instruments_full.csv")
    assert instruments.indices == tuple(INDICES)
    ladders = [ladder for index in instruments.indices for ladder in instruments.ladders(index)]
    tokens = [token for ladder in ladders for token in (*ladder.call_token, *ladder.put_token) if token]
    assert len(tokens) == len(set(tokens)) == 7_220
    assert {index: len(instruments.ladders(index)) for index in instruments.indices} == {
        "NIFTY": 18,
        "BANKNIFTY": 6,
        "FINNIFTY": 3,
        "MIDCPNIFTY": 3,
        "SENSEX": 19,
        "BANKEX": 3,
    }
