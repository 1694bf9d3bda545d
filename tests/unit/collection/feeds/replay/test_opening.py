from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from optrading.collection.feeds.base import FeedError
from optrading.collection.feeds.replay import open_recording
from optrading.testing.recordings import write_recording

from ..same_chain import assert_same_market

HEADER = "timestamp,symbol,expiry,strike,option_type,spot,ltp,volume,oi,oi_chg"
ROW = "202608171000,NIFTY50,18-Aug-2026,24000,CE,24010.5,100.5,20,30,-4"


def refusal(path: Path, **options: Any) -> str:
    """Return the one line with which a recording is refused."""
    with pytest.raises(FeedError) as caught:
        open_recording(path, **options)
    text = str(caught.value)
    assert "\n" not in text
    assert path.name in text
    return text


def refused_csv(tmp_path: Path, *lines: str) -> str:
    path = tmp_path / "day.csv"
    path.write_text("\n".join(lines) + "\n")
    return refusal(path)


def refused_json(tmp_path: Path, document: object) -> str:
    path = tmp_path / "chain.json"
    path.write_text(json.dumps(document))
    return refusal(path)


@pytest.mark.parametrize("name", ["day.parquet", "day.csv", "day.csv.gz", "day.json", "day.json.gz"])
def test_every_format_gives_back_what_was_written(name: str, tmp_path: Path) -> None:
    written = write_recording(tmp_path / name, index=["NIFTY", "FINNIFTY"], minutes=3, strikes=20)
    recording = open_recording(tmp_path / name)
    assert recording.indices == ("NIFTY", "FINNIFTY")
    assert recording.row_count == sum(2 * len(e.strike_inr) for chain in written for e in chain.expiries)
    assert len(recording) == len(written) == 6
    for number, chain in enumerate(written):
        assert_same_market(recording.chain(number, chain.receive_time, "replay"), chain)


@pytest.mark.parametrize("source", ["day.parquet", "day.csv", "day.json"])
def test_the_format_is_told_by_the_content_when_the_name_says_nothing(source: str, tmp_path: Path) -> None:
    write_recording(tmp_path / source, minutes=2, strikes=1)
    plain = tmp_path / "recorded"
    plain.write_bytes((tmp_path / source).read_bytes())
    assert len(open_recording(plain)) == 2


def test_the_identity_follows_the_content_and_not_the_name(tmp_path: Path) -> None:
    for name, seed in (("a.csv", 1), ("b.csv", 1), ("c.csv", 2)):
        write_recording(tmp_path / name, minutes=1, strikes=1, seed=seed)
    first, second, third = (open_recording(tmp_path / name).identity for name in ("a.csv", "b.csv", "c.csv"))
    assert first == second != third
    assert re.fullmatch("[0-9a-f]{64}", first)


def test_instants_may_have_seconds(tmp_path: Path) -> None:
    written = write_recording(tmp_path / "day.csv", minutes=3, interval_s=20, strikes=1)
    recording = open_recording(tmp_path / "day.csv")
    assert [recording.event_time(n) for n in range(3)] == [chain.event_time for chain in written]
    assert recording.usual_gap_s() == 20


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert "there is no such recording; allowed: " in refusal(tmp_path / "none.parquet")


def test_a_folder_is_no_recording(tmp_path: Path) -> None:
    assert "cannot be read (Is a directory)" in refusal(tmp_path)


@pytest.mark.parametrize("content", [b"", b" \n\n"])
def test_an_empty_file_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "day.csv"
    path.write_bytes(content)
    assert "the recording is empty" in refusal(path)


@pytest.mark.parametrize("kept", [0.05, 0.5, 0.99])
def test_a_truncated_parquet_is_refused(kept: float, tmp_path: Path) -> None:
    path = tmp_path / "day.parquet"
    write_recording(path, minutes=2)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    assert "the Parquet file is cut short or damaged" in refusal(path)


def test_a_parquet_with_a_damaged_page_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "day.parquet"
    write_recording(path, minutes=2)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    assert "the Parquet file is cut short or damaged" in refusal(path)


@pytest.mark.parametrize("name", ["day.csv.gz", "day.json.gz"])
def test_a_truncated_gzip_file_is_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    write_recording(path, minutes=1, strikes=2)
    path.write_bytes(path.read_bytes()[:-20])
    assert "the gzip file is cut short or damaged" in refusal(path)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("day.parquet", b"timestamp,symbol\n", "this is no Parquet file; allowed: "),
        ("day.json", b"timestamp,symbol\n", "the JSON is cut short or damaged"),
        ("day.txt", b"hello\n", "this is no recording; allowed: "),
        ("day.bin", bytes(range(1, 256)), "this is no recording; allowed: "),
        ("day.csv.gz", gzip.compress(b""), "the recording is empty"),
    ],
    # Contents differ from run to run (gzip writes the time), and workers must agree on the names of tests.
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_other_content_is_refused(name: str, content: bytes, expected: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    assert expected in refusal(path)


def test_missing_columns_are_named_with_all_that_are_needed(tmp_path: Path) -> None:
    text = refused_csv(tmp_path, "timestamp,symbol,expiry,strike,spot,volume,price", "1,2,3,4,5,6,7")
    assert "missing columns: option_type, ltp, oi; needed: timestamp, symbol, expiry, strike, option_type" in text


def test_missing_columns_of_a_parquet_are_named_too(tmp_path: Path) -> None:
    path = tmp_path / "day.parquet"
    write_recording(path, minutes=1, strikes=1)
    pq.write_table(pq.read_table(path).drop_columns(["ltp", "spot"]), path)
    assert "missing columns: spot, ltp; needed: " in refusal(path)


def test_a_column_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    assert "there twice: oi" in refused_csv(tmp_path, f"{HEADER},oi", f"{ROW},1")


@pytest.mark.parametrize("format", ["csv", "parquet"])
def test_a_recording_without_rows_is_refused(format: str, tmp_path: Path) -> None:
    path = tmp_path / f"day.{format}"
    write_recording(path, minutes=1, strikes=1)
    if format == "csv":
        path.write_text(path.read_text().partition("\n")[0] + "\n")
    else:
        pq.write_table(pq.read_table(path).slice(0, 0), path)
    assert "the recording has no rows" in refusal(path)


def test_an_unknown_symbol_is_named_with_those_that_are_known(tmp_path: Path) -> None:
    text = refused_csv(tmp_path, HEADER, ROW, ROW.replace("NIFTY50", "NIKKEI"))
    assert "unknown symbol 'NIKKEI'; allowed: NIFTY/NIFTY50/" in text
    assert "BANKEX" in text


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("202608171000", "20260817100", "bad timestamp '20260817100'; needed: YYYYMMDDHHMM"),
        ("202608171000", "202613171000", "bad timestamp '202613171000'"),
        ("202608171000", "2026-08-17 10:00", "bad timestamp '2026-08-17 10:00'"),
        ("202608171000", "", "column timestamp is empty in row 2"),
        ("18-Aug-2026", "18/08/2026", "bad expiry '18/08/2026'; needed: a day such as 18-Aug-2026"),
        ("CE", "XX", "unknown option_type 'XX'; allowed: CE, PE"),
        ("24000", "-5", "the strike of NIFTY 18-Aug-2026 -5 CE at 2026-08-17 10:00:00 IST is -5; it must be above 0"),
        ("24000", "", "the strike of NIFTY 18-Aug-2026 nan CE"),
        ("100.5", "cheap", "the CSV cannot be read"),
        ("100.5", "-1", "the last price of NIFTY 18-Aug-2026 24000 CE at 2026-08-17 10:00:00 IST is -1"),
        ("100.5", "inf", "the last price of "),
        (",20,", ",-20,", "the volume of "),
        (",30,", ",-30,", "the open interest of "),
        ("24010.5", "-24010.5", "the spot of "),
        (",-4", ",-inf", "the change of open interest of "),
        (",-4", "", "the CSV cannot be read"),
    ],
)
def test_a_wrong_value_is_named(old: str, new: str, expected: str, tmp_path: Path) -> None:
    good = ROW.replace("CE", "PE")
    assert expected in refused_csv(tmp_path, HEADER, good, ROW.replace(old, new))


def test_a_row_that_is_there_twice_is_named(tmp_path: Path) -> None:
    again = ROW.replace("NIFTY50", "nifty").replace("100.5", "101")
    text = refused_csv(tmp_path, HEADER, ROW, ROW.replace("CE", "PE"), again)
    assert "NIFTY 18-Aug-2026 24000 CE at 2026-08-17 10:00:00 IST is there twice" in text


def test_numbers_that_are_text_in_a_parquet_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "day.parquet"
    write_recording(path, minutes=1, strikes=1)
    table = pq.read_table(path)
    pq.write_table(table.set_column(5, "spot", pa.array(["x"] * table.num_rows)), path)
    assert "column spot holds string, not numbers" in refusal(path)


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"hello": 1}, "the JSON has another shape: no records where it should be; needed: NSE's option chain"),
        ([1, 2], "no records where it should be"),
        ({"records": {"data": []}}, "no timestamp where it should be"),
        ({"records": {"timestamp": "05-Aug-2025 13:59:23"}}, "no data where it should be"),
        ({"records": {"timestamp": "05-Aug-2025 13:59:23", "data": []}}, "the recording has no rows"),
        ([], "the recording has no rows"),
        ({"records": {"timestamp": "5 August", "data": []}}, "bad timestamp '5 August'"),
        ({"records": {"timestamp": "05-Aug-2025 13:59:23", "data": [1]}}, "no expiryDate where it should be"),
    ],
)
def test_json_of_another_shape_is_refused(document: object, expected: str, tmp_path: Path) -> None:
    assert expected in refused_json(tmp_path, document)


@pytest.mark.parametrize(
    ("leg", "expected"),
    [
        ({"underlying": "NIFTY"}, "CE of 07-Aug-2025 24600 has no lastPrice, openInterest, totalTradedVolume"),
        ({"lastPrice": "12"}, "lastPrice is '12', not a number"),
        ({"lastPrice": True}, "lastPrice is True, not a number"),
        ({"openInterest": 10**400}, "openInterest beyond all numbers"),
        ({"underlying": "ACME"}, "unknown symbol 'ACME'"),
        ({"openInterest": -1}, "the open interest of NIFTY 07-Aug-2025 24600 CE"),
    ],
)
def test_a_wrong_leg_of_a_json_is_named(leg: dict[str, object], expected: str, tmp_path: Path) -> None:
    good = {"underlying": "NIFTY", "lastPrice": 1.5, "openInterest": 2, "totalTradedVolume": 3}
    whole = leg if "lastPrice" not in leg and leg == {"underlying": "NIFTY"} else {**good, **leg}
    row = {"strikePrice": 24600, "expiryDate": "07-Aug-2025", "CE": whole}
    records = {"timestamp": "05-Aug-2025 13:59:23", "underlyingValue": 24623.45, "data": [row]}
    assert expected in refused_json(tmp_path, {"records": records})


def test_json_cut_short_or_nested_beyond_reason_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "chain.json"
    for content in (b'{"records": {"timest', b"[" * 200_000, b'{"a": "\xff\xfe"}'):
        path.write_bytes(content)
        assert "the JSON is cut short or damaged" in refusal(path)


def test_a_day_before_the_known_lot_sizes_asks_for_one(tmp_path: Path) -> None:
    path = tmp_path / "day.csv"
    path.write_text(f"{HEADER}\n{ROW.replace('2026', '2010')}\n")
    assert "the lot size of NIFTY on 2010-08-17 is not known; set REPLAY_LOT_SIZE" in refusal(path)
    assert open_recording(path, lot_size=50).row_count == 1


def test_a_lot_size_below_one_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "day.csv"
    path.write_text(f"{HEADER}\n{ROW}\n")
    with pytest.raises(FeedError, match="REPLAY_LOT_SIZE=0"):
        open_recording(path, lot_size=0)
