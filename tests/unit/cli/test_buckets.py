"""The bucket table: what the exchanges listed in the middle of August 2026, and listings made up."""

from __future__ import annotations

from datetime import date
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from optrading.cli.__main__ import app, main
from optrading.cli.buckets import bucket_rows, find_instruments, read_day, show_buckets, step_near_money
from optrading.collection.feeds.kite.instruments import read_instruments
from optrading.local.settings import OptionError
from tests.unit.collection.feeds.kite.dumps import dump

DAY = date(2026, 8, 18)

# expiry, days ahead, strikes, lot size, step near the money, narrowest and widest step
REAL = """
NIFTY      this_week  Tue 18 Aug 2026 today 105  65  50 50
NIFTY      next_week  Tue 25 Aug 2026 7     121  65  50 50
NIFTY      this_month Tue 25 Aug 2026 7     121  65  50 50
NIFTY      next_month Tue 29 Sep 2026 42    123  65  50 50-1,500
BANKNIFTY  this_week  –
BANKNIFTY  next_week  Tue 25 Aug 2026 7     167  30 100 100-500
BANKNIFTY  this_month Tue 25 Aug 2026 7     167  30 100 100-500
BANKNIFTY  next_month Tue 29 Sep 2026 42    143  30 100 100-1,500
FINNIFTY   this_week  –
FINNIFTY   next_week  Tue 25 Aug 2026 7     119  60  50 50-500
FINNIFTY   this_month Tue 25 Aug 2026 7     119  60  50 50-500
FINNIFTY   next_month Tue 29 Sep 2026 42     64  60 100 100-500
MIDCPNIFTY this_week  –
MIDCPNIFTY next_week  Tue 25 Aug 2026 7     151 120  25 25-100
MIDCPNIFTY this_month Tue 25 Aug 2026 7     151 120  25 25-100
MIDCPNIFTY next_month Tue 29 Sep 2026 42    133 120  25 25-100
SENSEX     this_week  Thu 20 Aug 2026 2     134  20 100 100
SENSEX     next_week  Thu 27 Aug 2026 9     176  20 100 100
SENSEX     this_month Thu 27 Aug 2026 9     176  20 100 100
SENSEX     next_month Thu 24 Sep 2026 37    160  20 100 100-1,000
BANKEX     this_week  –
BANKEX     next_week  Thu 27 Aug 2026 9     191  30 100 100
BANKEX     this_month Thu 27 Aug 2026 9     191  30 100 100
BANKEX     next_month Thu 24 Sep 2026 37    145  30 100 100
"""


def shown(day: date, source: Path, holiday_file: Path | None = None, width: int = 80) -> list[str]:
    console = Console(width=width, color_system=None)
    with console.capture() as capture:
        show_buckets(day, source, holiday_file, console)
    return capture.get().splitlines()


def cells(lines: list[str]) -> list[list[str]]:
    """Return the words of each row, with the name of the index in each of them."""
    rows, index = [], ""
    for line in lines:
        words = line.split()
        index = index if line.startswith(" ") else words[0]
        rows.append([index, *words[0 if line.startswith(" ") else 1 :]])
    return rows


def test_the_table_of_18_august_2026_is_that_of_the_exchanges(real_data: Path) -> None:
    lines = shown(DAY, real_data / "kite_instruments" / "instruments_full.csv")
    assert lines[0] == "Tuesday, 18 August 2026: 09:15 to 15:30 IST"
    assert lines[1].split() == ["index", "bucket", "expiry", "days", "strikes", "lot", "step", "steps"]
    expected = [line.split() for line in REAL.strip().splitlines()]
    expected = [row if row[2] != "–" else [*row[:2], *"––––––"] for row in expected]
    assert cells(lines[2:26]) == expected
    notes = " ".join(line.strip() for line in lines[26:])
    assert "FINNIFTY has no expiry in this_week; listed: 2026-08-25, 2026-09-29, 2026-10-27" in notes
    assert notes.count("has no expiry in this_week") == 4
    assert "closed" not in notes


def test_weeklies_are_those_that_the_dump_lists(real_data: Path) -> None:
    instruments = read_instruments(real_data / "kite_instruments" / "instruments_full.csv")
    for index in ("NIFTY", "SENSEX", "BANKNIFTY", "FINNIFTY", "MIDCPNIFTY", "BANKEX"):
        expiries = instruments.expiries(index)
        apart = [(later - earlier).days for earlier, later in pairwise(expiries)]
        assert (min(apart) < 14) == (index in ("NIFTY", "SENSEX")), index
    assert {expiry.weekday() for expiry in instruments.expiries("SENSEX")} == {3}, "Thursdays"


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        ("2026-08-18", ["2026-08-18", "2026-08-25", "2026-08-25", "2026-09-29"]),
        ("2026-08-19", ["2026-08-25", "2026-09-01", "2026-08-25", "2026-09-29"]),
        ("2026-08-25", ["2026-08-25", "2026-09-01", "2026-08-25", "2026-09-29"]),
        ("2026-08-26", ["2026-09-01", "2026-09-29", "2026-09-29", None]),
    ],
)
def test_buckets_roll_over_from_day_to_day(day: str, expected: list[str | None]) -> None:
    listed = ("2026-08-11", "2026-08-18", "2026-08-25", "2026-09-01", "2026-09-29")
    instruments = read_instruments(dump(*((expiry, 65, (25_000, 25_050)) for expiry in listed)))
    rows = [row for row in bucket_rows(instruments, date.fromisoformat(day)) if row.index == "NIFTY"]
    assert [str(row.ladder.expiry) if row.ladder else None for row in rows] == expected


def test_each_expiry_has_the_lot_size_of_its_own_contracts(tmp_path: Path) -> None:
    path = tmp_path / "dump.csv"
    path.write_bytes(dump(("2025-12-30", 75, (26_000, 26_050)), ("2026-01-06", 65, (26_000, 26_100))))
    rows = cells(shown(date(2025, 12, 29), path)[2:6])
    assert [[row[1], *row[-4:]] for row in rows] == [
        ["this_week", "2", "75", "50", "50"],
        ["next_week", "2", "65", "100", "100"],
        ["this_month", "2", "75", "50", "50"],
        ["next_month", "2", "65", "100", "100"],
    ]


def test_what_is_not_listed_and_what_the_calendar_doubts_is_said(tmp_path: Path) -> None:
    path, holidays = tmp_path / "dump.csv", tmp_path / "holidays.txt"
    path.write_bytes(dump(("2026-08-25", 65, (25_000,))))
    holidays.write_text("2026-08-25 closed\n2026-08-22 18:00-19:00 a drill\n")
    lines = shown(date(2026, 8, 22), path, holidays, width=160)
    assert lines[0] == "Saturday, 22 August 2026: 18:00 to 19:00 IST"
    assert "NIFTY has no expiry in next_week, next_month; listed: 2026-08-25" in lines
    assert "SENSEX has no expiry in this_week, next_week, this_month, next_month; listed: nothing" in lines
    assert lines[-1] == "the exchanges are closed on 2026-08-25, says the calendar; HOLIDAY_FILE goes over it"
    assert shown(date(2026, 8, 22), path)[0] == "Saturday, 22 August 2026: no session"


def test_the_step_near_the_money_is_that_around_the_middle_of_the_ladder() -> None:
    fine = [20_000.0, 22_000.0, *np.arange(24_000.0, 24_501.0, 50.0), 26_000.0, 28_000.0]
    assert step_near_money(np.array(fine)) == 50.0
    assert step_near_money(np.array([1.0, 3.0])) == 2.0
    assert np.isnan(step_near_money(np.array([25_000.0])))
    assert np.isnan(step_near_money(np.array([])))


def test_without_a_dump_the_newest_that_was_kept_by_the_day_is_taken(tmp_path: Path) -> None:
    folder = tmp_path / "kite" / "instruments"
    with pytest.raises(OptionError, match=r"no instruments of 2026-08-18 or before are kept in .*; name a dump"):
        find_instruments(tmp_path, DAY)
    folder.mkdir(parents=True)
    for day in ("2026-08-14", "2026-08-17", "2026-08-19"):
        (folder / f"{day}.csv.gz").touch()
    assert find_instruments(tmp_path, DAY).name == "2026-08-17.csv.gz"


def test_a_wrong_day_or_dump_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(OptionError, match="--day 'soon' is not a day such as 2026-08-18"):
        read_day("soon")
    monkeypatch.setattr("sys.argv", ["optrading", "buckets", "--instruments", str(tmp_path / "none.csv")])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 1
    assert capsys.readouterr().err == f"optrading: {tmp_path / 'none.csv'}: there is no such file\n"


def test_the_command_prints_the_table(tmp_path: Path) -> None:
    path = tmp_path / "dump.csv"
    path.write_bytes(dump(("2026-08-25", 65, (25_000,))))
    result = CliRunner().invoke(app, ["buckets", "--day", "2026-08-18", "--instruments", str(path)])
    assert result.exit_code == 0, result.output
    assert "Tue 25 Aug 2026" in result.output
