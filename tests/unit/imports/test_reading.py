from __future__ import annotations

import csv
import gzip
import json
import math
import zipfile
from collections import defaultdict
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from optrading.collection.feeds.base import FeedError
from optrading.collection.feeds.replay import open_recording
from optrading.imports.reading import read_import
from optrading.market.clock import IST
from optrading.market.indices import INDICES
from optrading.testing.recordings import main as make_recording
from tests.unit.imports.files import LEGACY_HEADER, legacy, legacy_row, udiff, udiff_row


def test_a_legacy_bhavcopy_is_a_chain_of_the_close(tmp_path: Path) -> None:
    path = legacy(
        tmp_path,
        legacy_row(strike=24_900, side="CE", close=101.5, contracts=40, interest=6_500, change=-650),
        legacy_row(strike=24_900, side="PE", close=88.0, contracts=0, interest=130),
        legacy_row(strike=25_000, side="CE", expiry="30-Jun-2026", close=0.0, contracts=0, interest=0),
    )
    file = read_import(path)
    [chain] = file.chains
    assert file.kind == "legacy bhavcopy"
    assert (chain.index, chain.source) == ("NIFTY", "import")
    assert chain.event_time.astimezone(IST).isoformat() == "2026-06-11T15:30:00+05:30"
    assert math.isnan(chain.spot_inr)
    first = chain.expiries[0]
    assert (first.expiry, first.lot_size, first.strike_inr.tolist()) == (date(2026, 6, 16), 65, [24_900.0])
    assert first.call.last_inr.tolist() == [101.5]
    assert first.call.volume_units.tolist() == [40 * 65]
    assert first.call.open_interest_units.tolist() == [6_500]
    assert first.call.open_interest_change_units.tolist() == [-650]
    assert math.isnan(first.put.last_inr[0])  # it did not trade: its close is no trade
    assert first.put.open_interest_units.tolist() == [130]
    assert chain.expiries[1].expiry == date(2026, 6, 30)


def test_other_instruments_are_passed_over_and_not_rejected(tmp_path: Path) -> None:
    file = read_import(
        legacy(
            tmp_path,
            legacy_row(instrument="FUTIDX", strike=0, side=""),
            legacy_row(instrument="OPTSTK", symbol="INFY"),
            legacy_row(symbol="NIFTYNXT50"),
            legacy_row(),
        )
    )
    assert (file.row_count, file.skipped_count, len(file.rejects)) == (4, 3, 0)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"strike": "many"}, "STRIKE_PR is 'many', not a number"),
        ({"strike": 0}, "STRIKE_PR must be above 0"),
        ({"side": "XX"}, "OPTION_TYP is 'XX'; allowed: CE, PE"),
        ({"expiry": "soon"}, "EXPIRY_DT is 'soon', not a day"),
        ({"interest": -5}, "OPEN_INT is -5; it must be 0 or more"),
        ({"close": "inf"}, "CLOSE is not finite"),
        ({"day": "11-Jun-1999"}, "the lot size of NIFTY on 1999-06-11 is not known"),
    ],
)
def test_a_row_that_cannot_be_is_rejected_with_its_reason_and_the_rest_is_read(tmp_path, changes, reason) -> None:
    file = read_import(legacy(tmp_path, legacy_row(strike=24_800), legacy_row(**changes), legacy_row(strike=25_100)))
    [reject] = file.rejects
    assert (reject.line, reject.reason) == (3, reason)
    assert "OPTIDX,NIFTY" in reject.row
    assert file.chains[0].expiries[0].strike_inr.tolist() == [24_800.0, 25_100.0]


def test_a_line_of_another_length_and_a_leg_that_is_there_twice_are_rejected(tmp_path: Path) -> None:
    path = tmp_path / "fo.csv"
    path.write_text("\n".join([LEGACY_HEADER, legacy_row(), "OPTIDX,NIFTY,16-Jun-2026", legacy_row(), ""]))
    file = read_import(path)
    assert [(reject.line, reject.reason) for reject in file.rejects] == [
        (3, "it has 3 fields, the header 15"),
        (4, "the same leg as in line 2"),
    ]


def test_udiff_of_both_exchanges_has_lots_and_volume_as_each_has_them(tmp_path: Path) -> None:
    nse = udiff_row(source="NSE", symbol="NIFTY", volume=35_894, interest=1_498_965, lot=65, spot=24_055.8, last=39.45)
    bse = udiff_row(source="BSE", symbol="SENSEX", volume=2_940, interest=2_320, lot=20, spot=76_913.5, last=1_963.4)
    file = read_import(udiff(tmp_path, nse, bse))
    by_index = {chain.index: chain for chain in file.chains}
    assert by_index["NIFTY"].expiries[0].put.volume_units.tolist() == [35_894 * 65]
    assert by_index["SENSEX"].expiries[0].put.volume_units.tolist() == [2_940]
    assert by_index["NIFTY"].spot_inr == 24_055.8
    assert by_index["SENSEX"].expiries[0].lot_size == 20
    assert by_index["NIFTY"].expiries[0].put.open_interest_units.tolist() == [1_498_965]


@pytest.mark.parametrize("pack", ["gz", "zip"])
def test_packed_files_are_read_like_plain_ones(tmp_path: Path, pack: str) -> None:
    plain = legacy(tmp_path, legacy_row())
    packed = tmp_path / f"fo.csv.{pack}"
    if pack == "gz":
        packed.write_bytes(gzip.compress(plain.read_bytes()))
    else:
        with zipfile.ZipFile(packed, "w") as archive:
            archive.write(plain, "fo.csv")
    assert read_import(packed).chains[0].leg_count() == read_import(plain).chains[0].leg_count() == 1


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".json"])
def test_recordings_are_read_as_a_replay_reads_them(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"day{suffix}"
    make_recording([str(path), "--index", "NIFTY", "--minutes", "3"])
    recording = open_recording(path)
    file = read_import(path)
    assert not file.rejects
    assert len(file.chains) == len(recording)
    for number, chain in enumerate(file.chains):
        played = recording.chain(number, chain.receive_time, "import")
        assert (chain.event_time, chain.spot_inr) == (played.event_time, played.spot_inr)
        for ours, theirs in zip(chain.expiries, played.expiries, strict=True):
            assert (ours.expiry, ours.lot_size) == (theirs.expiry, theirs.lot_size)
            for side in ("call", "put"):
                for left, right in zip(getattr(ours, side).columns(), getattr(theirs, side).columns(), strict=True):
                    np.testing.assert_array_equal(left, right)


def test_one_bad_row_of_a_recording_does_not_keep_the_others_out(tmp_path: Path) -> None:
    path = tmp_path / "day.csv"
    make_recording([str(path), "--index", "NIFTY", "--minutes", "1"])
    lines = [line.replace('"', "") for line in path.read_text().splitlines()]
    columns = lines[0].split(",")
    broken = lines[5].split(",")
    broken[columns.index("strike")] = "-5"
    path.write_text("\n".join([*lines[:5], ",".join(broken), *lines[6:], ""]))
    file = read_import(path)
    assert [(reject.line, reject.reason) for reject in file.rejects] == [(6, "strike must be above 0")]
    assert file.chains[0].leg_count() == len(lines) - 2


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"a,b,c\n1,2,3\n", "its columns are those of nothing known"),
        (b"{", "the JSON is cut short"),
        (b'{"a": 1}', "the JSON has another shape"),
        (b"PAR1 and nothing", "cut short or damaged"),
        (b"\x1f\x8bnothing", "it cannot be read"),
        (b"\xff\xfe\x00", "this is no text"),
    ],
)
def test_what_is_no_file_of_ours_is_one_line(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(FeedError, match=reason):
        read_import(path)
    with pytest.raises(FeedError, match="no such file"):
        read_import(tmp_path / "none")


def test_the_same_content_is_the_same_chains_in_the_same_order(tmp_path: Path) -> None:
    rows = [legacy_row(symbol=symbol) for symbol in ("MIDCPNIFTY", "NIFTY", "BANKNIFTY")]
    first, again = read_import(legacy(tmp_path, *rows)), read_import(legacy(tmp_path, *rows))
    assert first.sha256 == again.sha256
    assert [chain.index for chain in first.chains] == ["BANKNIFTY", "MIDCPNIFTY", "NIFTY"]


def test_the_real_bhavcopy_holds_what_it_holds(real_data: Path) -> None:
    path = real_data / "bhavcopy_fo" / "fo_20260611.csv"
    file = read_import(path)
    expected: dict[tuple[str, str], float] = defaultdict(float)
    legs = 0
    with path.open() as lines:
        for row in csv.DictReader(lines):
            if row["INSTRUMENT"] == "OPTIDX" and row["SYMBOL"] in INDICES:
                expected[row["SYMBOL"], row["EXPIRY_DT"]] += float(row["OPEN_INT"])
                legs += 1
    found = {
        (chain.index, f"{each.expiry:%d-%b-%Y}"): float(
            np.nansum(each.call.open_interest_units) + np.nansum(each.put.open_interest_units)
        )
        for chain in file.chains
        for each in chain.expiries
    }
    assert found == expected
    assert sum(chain.leg_count() for chain in file.chains) == legs
    assert not file.rejects


def test_the_real_udiff_rows_are_read(real_data: Path) -> None:
    file = read_import(real_data / "bhavcopy_fo" / "udiff_rows_sample.csv")
    assert (file.row_count, file.skipped_count, len(file.rejects)) == (5, 1, 0)
    assert {chain.index for chain in file.chains} == {"NIFTY", "SENSEX"}


def test_the_real_nse_chain_has_its_totals(real_data: Path) -> None:
    path = real_data / "nse_option_chain" / "nifty_20250805.json"
    file = read_import(path)
    [chain] = file.chains
    near = next(each for each in chain.expiries if each.expiry == date(2025, 8, 7))
    assert np.nansum(near.call.open_interest_units) == 2_635_468 * 75
    assert np.nansum(near.put.open_interest_units) == 1_734_647 * 75
    assert json.loads(path.read_text())["records"]["underlyingValue"] == chain.spot_inr
