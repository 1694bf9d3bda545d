"""Instruments: the same contract has the same token everywhere, symbols are the exchange's, dumps can be read."""

from __future__ import annotations

import csv
import io
from datetime import date
from pathlib import Path

import pytest

from optrading.market.indices import INDICES
from optrading.testing.kite.instrument_table import InstrumentTable
from optrading.testing.kite.instruments import COLUMNS, INDEX_TOKENS, contract, read_dump
from optrading.testing.recordings import synthetic_chains
from tests.chains import OPENING, small_chain

DAY = date(2026, 8, 18)


def rows(dump: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(dump.decode())))


def test_no_two_contracts_of_all_six_indices_have_one_token() -> None:
    table = InstrumentTable(INDICES)
    for chain in synthetic_chains(index=list(INDICES), minutes=1, start=OPENING):
        table.list_chain(chain)
    tokens = [table[row].token for row in range(len(table))]
    assert len(set(tokens)) == len(tokens) > 1000
    assert all(token < 2**32 for token in tokens)


def test_a_token_follows_from_the_contract_and_not_from_what_else_is_listed() -> None:
    all_of_them = InstrumentTable(INDICES)
    for chain in synthetic_chains(index=list(INDICES), minutes=1, start=OPENING):
        all_of_them.list_chain(chain)
    nifty = synthetic_chains(index="NIFTY", minutes=1, start=OPENING)[0]
    one = InstrumentTable(["NIFTY"])
    one.list_chain(nifty)
    for row in range(len(one)):
        twin = all_of_them.row_of_symbol(one[row].exchange, one[row].symbol)
        assert twin is not None
        assert all_of_them[twin] == one[row]


@pytest.mark.parametrize(
    ("index", "expiry", "symbol", "segment"),
    [
        ("NIFTY", date(2026, 9, 1), "NIFTY2690125350CE", 2),
        ("NIFTY", date(2026, 8, 25), "NIFTY26AUG25350CE", 2),
        ("SENSEX", date(2026, 10, 8), "SENSEX26O0825350CE", 5),
    ],
)
def test_a_symbol_has_the_month_of_a_monthly_and_the_day_of_a_weekly(
    index: str, expiry: date, symbol: str, segment: int
) -> None:
    listed = contract(index, expiry, 25_350.0, "CE", 65)
    assert (listed.symbol, listed.token & 0xFF) == (symbol, segment)


def test_the_dump_of_an_exchange_has_what_has_not_expired_there() -> None:
    table = InstrumentTable(["NIFTY", "SENSEX"])
    table.list_chain(small_chain())
    assert {row["name"] for row in rows(table.dump("NFO", DAY))} == {"NIFTY"}
    assert [row["tradingsymbol"] for row in rows(table.dump("BSE", DAY))] == ["SENSEX"]
    assert rows(table.dump("NSE", DAY))[0]["instrument_token"] == str(INDEX_TOKENS["NIFTY"][0])
    assert {row["expiry"] for row in rows(table.dump("NFO", date(2026, 8, 19)))} == {"2026-08-25"}
    assert len(rows(table.dump("", DAY))) == len(table)


def test_an_exchange_lists_more_strikes_and_changes_lot_sizes() -> None:
    table = InstrumentTable(["NIFTY"])
    table.list_chain(small_chain())
    added = table.widen("NIFTY", 2)
    strikes = sorted({float(row["strike"]) for row in rows(table.dump("NFO", DAY)) if row["instrument_type"] == "PE"})
    assert strikes == [24_800, 24_850, 24_900, 24_950, 25_000, 25_050, 25_100]
    assert len(added) == 2 * 2 * 2 * 2  # expiries, sides of the ladder, strikes, calls and puts
    table.change_lot_size("NIFTY", 50)
    assert {row["lot_size"] for row in rows(table.dump("NFO", DAY))} == {"50"}


def test_a_file_that_is_no_dump_is_refused(tmp_path: Path) -> None:
    (tmp_path / "dump.csv").write_text("token,strike\n1,2\n")
    with pytest.raises(ValueError, match="this is no instrument dump"):
        next(read_dump(tmp_path / "dump.csv"))


def test_a_dump_is_written_as_it_was_read(tmp_path: Path) -> None:
    table = InstrumentTable(["NIFTY"])
    table.list_chain(small_chain())
    (tmp_path / "dump.csv").write_bytes(table.dump("NFO", DAY))
    again = InstrumentTable([], tmp_path / "dump.csv")
    assert again.dump("NFO", DAY) == table.dump("NFO", DAY)


def test_the_real_brokers_dump_gives_its_tokens(real_data: Path) -> None:
    path = real_data / "kite_instruments" / "instruments_full.csv"
    table = InstrumentTable(["NIFTY"], path)
    with path.open() as file:
        assert next(file).strip().split(",") == list(COLUMNS)
    row = table.list_contract("NIFTY", DAY, 24_350.0, "CE", 65)
    assert (table[row].token, table[row].symbol) == (11546626, "NIFTY2681824350CE")
    # Symbols that we make are those of the exchange; only a holiday in 2029 moves a monthly where we do not expect it.
    listed = [i for i in read_dump(path) if i.name in INDICES and i.strike_inr and i.expiry != date(2029, 12, 24)]
    named = {contract(i.name, i.expiry, i.strike_inr, i.kind, i.lot_size).symbol for i in listed if i.expiry}
    assert {i.symbol for i in listed} == named
