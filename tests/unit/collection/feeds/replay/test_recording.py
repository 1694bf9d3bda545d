from __future__ import annotations

import math
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optrading.collection.feeds.replay import ReplayFeed, open_recording
from optrading.collection.feeds.replay.recording import Recording, build_recording
from optrading.collection.feeds.replay.rows import SYMBOLS, Rows
from optrading.market.codec import to_micros

from ..quick_clock import BEGINNING, QuickClock
from ..same_chain import take

Leg = tuple[str, int, int, float, bool]


def rows_of(legs: list[Leg], values: list[float] | None = None) -> Rows:
    """Return rows of (index, minute, expiry day, strike, is put) with open interest in contracts."""
    count = len(legs)
    start = to_micros(datetime(2026, 8, 17, 4, 0, tzinfo=UTC))
    held = np.array(values if values is not None else range(count), dtype=np.float64)
    unknown = np.full(count, np.nan)
    return Rows(
        index_code=np.array([SYMBOLS.index(leg[0]) for leg in legs]),
        event_micros=np.array([start + leg[1] * 60_000_000 for leg in legs]),
        expiry_ordinal=np.array([date(2026, 8, leg[2]).toordinal() for leg in legs]),
        strike_inr=np.array([leg[3] for leg in legs], dtype=np.float64),
        is_put=np.array([leg[4] for leg in legs]),
        spot_inr=np.full(count, 24_010.0),
        last_inr=unknown,
        bid_inr=unknown,
        ask_inr=unknown,
        volume_contracts=unknown,
        open_interest_contracts=held,
        open_interest_change_contracts=unknown,
    )


def built(rows: Rows, lot_size: int | None = None) -> Recording:
    return build_recording(rows, name="made up", identity="0", lot_size_units=lot_size)


LEGS = st.lists(
    st.tuples(
        st.sampled_from(["NIFTY", "SENSEX", "BANKEX"]),
        st.integers(0, 4),
        st.integers(18, 20),
        st.integers(1, 6).map(lambda step: 23_800.0 + 50 * step),
        st.booleans(),
    ),
    min_size=1,
    max_size=60,
    unique=True,
)


@given(legs=LEGS)
def test_every_row_in_any_order_is_found_in_exactly_one_chain(legs: list[Leg]) -> None:
    recording = built(rows_of(legs), lot_size=10)
    found: dict[Leg, float] = {}
    order = []
    for number in range(len(recording)):
        chain = recording.chain(number, BEGINNING, "replay")
        order.append((chain.event_time, SYMBOLS.index(chain.index)))
        minute = (to_micros(chain.event_time) - to_micros(datetime(2026, 8, 17, 4, 0, tzinfo=UTC))) // 60_000_000
        assert [e.expiry for e in chain.expiries] == sorted({e.expiry for e in chain.expiries})
        for expiry in chain.expiries:
            assert (np.diff(expiry.strike_inr) > 0).all()
            assert (np.diff(expiry.atm_offset) == 1).all()
            for is_put, side in ((False, expiry.call), (True, expiry.put)):
                for strike, held in zip(expiry.strike_inr, side.open_interest_units, strict=True):
                    if not math.isnan(held):
                        found[chain.index, minute, expiry.expiry.day, float(strike), is_put] = float(held)
    assert found == {leg: 10.0 * row for row, leg in enumerate(legs)}
    assert order == sorted(set(order))
    assert recording.indices == tuple(s for s in SYMBOLS if any(leg[0] == s for leg in legs))


@given(units=st.integers(0, 10**9), lot=st.sampled_from([10, 15, 20, 25, 30, 35, 65, 75, 120, 140]))
def test_fractions_of_a_contract_come_out_as_whole_units_and_divide_back_exactly(units: int, lot: int) -> None:
    contracts = units / lot
    recording = built(rows_of([("NIFTY", 0, 18, 24_000.0, False)], [contracts]), lot)
    held = recording.chain(0, BEGINNING, "replay").expiries[0].call.open_interest_units[0]
    assert held == units
    assert held / lot == contracts


def test_what_is_no_whole_number_of_units_is_left_as_it_is() -> None:
    recording = built(rows_of([("NIFTY", 0, 18, 24_000.0, False)], [0.123]), 65)
    assert recording.chain(0, BEGINNING, "replay").expiries[0].call.open_interest_units[0] == 0.123 * 65


def test_a_leg_that_is_not_recorded_is_unknown_in_every_column() -> None:
    recording = built(rows_of([("NIFTY", 0, 18, 24_000.0, False)]))
    expiry = recording.chain(0, BEGINNING, "replay").expiries[0]
    assert all(np.isnan(values).all() for values in expiry.put.columns())
    assert (expiry.call.known().tolist(), expiry.put.known().tolist()) == ([True], [False])


def test_nobody_can_write_into_the_recording_through_a_chain() -> None:
    expiry = built(rows_of([("NIFTY", 0, 18, 24_000.0, False)])).chain(0, BEGINNING, "replay").expiries[0]
    for values in (expiry.strike_inr, *expiry.call.columns(), *expiry.put.columns()):
        assert not values.flags.writeable


@pytest.mark.parametrize(
    ("text", "expected"), [("24010.5", 24010.5), ("", math.nan), ("nan", math.nan), ("NULL", math.nan), ("0", math.nan)]
)
def test_empty_values_and_prices_of_zero_are_unknown(text: str, expected: float, tmp_path: Path) -> None:
    path = tmp_path / "day.csv"
    path.write_text(
        "timestamp,symbol,expiry,strike,option_type,spot,ltp,volume,oi,bid,ask\n"
        f"202608171000,NIFTY50,2026-08-18,24000,pe,{text},{text},,nan,{text},{text}\n"
    )
    chain = open_recording(path).chain(0, BEGINNING, "replay")
    put = chain.expiries[0].put
    for value in (chain.spot_inr, put.last_inr[0], put.bid_inr[0], put.ask_inr[0]):
        np.testing.assert_equal(value, expected)
    assert np.isnan([put.volume_units[0], put.open_interest_units[0], put.open_interest_change_units[0]]).all()


def test_open_interest_and_volume_of_zero_are_known_to_be_zero(tmp_path: Path) -> None:
    path = tmp_path / "day.csv"
    path.write_text(
        "timestamp,symbol,expiry,strike,option_type,spot,ltp,volume,oi,oi_chg\n"
        "202608171000,NIFTY50,18-Aug-2026,24000,CE,24010,,0,0,0\n"
    )
    call = open_recording(path).chain(0, BEGINNING, "replay").expiries[0].call
    assert (call.volume_units[0], call.open_interest_units[0], call.open_interest_change_units[0]) == (0, 0, 0)


def test_a_spot_that_is_missing_in_some_rows_is_taken_from_the_others(tmp_path: Path) -> None:
    path = tmp_path / "day.csv"
    path.write_text(
        "timestamp,symbol,expiry,strike,option_type,spot,ltp,volume,oi\n"
        "202608171000,NIFTY50,18-Aug-2026,24000,CE,,1,1,1\n"
        "202608171000,NIFTY50,18-Aug-2026,24050,CE,24010,1,1,1\n"
        "202608171001,NIFTY50,18-Aug-2026,24050,CE,,1,1,1\n"
    )
    recording = open_recording(path)
    spots = [recording.chain(number, BEGINNING, "replay").spot_inr for number in range(2)]
    np.testing.assert_array_equal(spots, [24_010.0, math.nan])


async def test_every_row_of_the_recorded_nifty_day_comes_through_unchanged(real_data: Path) -> None:
    path = real_data / "intraday_nifty" / "option_chain_20260818.parquet"
    feed = ReplayFeed(open_recording(path), clock=QuickClock(), speed=None)
    chains = await take(feed.chains({}))
    assert len(chains) == 288
    assert sum(chain.leg_count() for chain in chains) == 153_990
    assert chains[0].event_time == datetime(2026, 8, 18, 5, 13, tzinfo=UTC)
    assert chains[-1].event_time == datetime(2026, 8, 18, 10, 0, tzinfo=UTC)

    came = {}
    for chain in chains:
        for expiry in chain.expiries:
            assert expiry.lot_size == 65
            for side, legs in (("CE", expiry.call), ("PE", expiry.put)):
                rows = np.flatnonzero(legs.known())
                contracts = (
                    np.stack([legs.volume_units, legs.open_interest_units, legs.open_interest_change_units])[:, rows]
                    / 65
                )
                for strike, last, *rest in zip(
                    expiry.strike_inr[rows].tolist(), legs.last_inr[rows].tolist(), *contracts.tolist(), strict=True
                ):
                    came[chain.event_time, expiry.expiry, strike, side] = (chain.spot_inr, last, *rest)

    table = pq.read_table(path)
    instants = {t: datetime.strptime(f"{t}+0530", "%Y%m%d%H%M%z") for t in table["timestamp"].unique().to_pylist()}
    expiries = {e: datetime.strptime(f"{e}+0530", "%d-%b-%Y%z").date() for e in table["expiry"].unique().to_pylist()}
    keys = (table[name].to_pylist() for name in ("timestamp", "expiry", "strike", "option_type"))
    values = (table[name].to_pylist() for name in ("spot", "ltp", "volume", "oi", "oi_chg"))
    recorded = {
        (instants[t], expiries[e], strike, side): value
        for t, e, strike, side, value in zip(*keys, zip(*values, strict=True), strict=True)
    }
    assert len(recorded) == 153_990
    assert came == recorded


def test_the_snapshot_of_nse_has_the_totals_that_nse_states(real_data: Path) -> None:
    recording = open_recording(real_data / "nse_option_chain" / "nifty_20250805.json")
    assert (len(recording), recording.row_count) == (1, 1346)
    chain = recording.chain(0, BEGINNING, "replay")
    assert chain.event_time == datetime(2025, 8, 5, 8, 29, 23, tzinfo=UTC)
    assert (chain.spot_inr, len(chain.expiries), chain.leg_count()) == (24_623.45, 18, 1346)
    near = chain.expiries[0]
    assert (near.expiry, near.lot_size) == (date(2025, 8, 7), 75)
    assert np.nansum(near.call.open_interest_units) / 75 == 2_635_468
    assert np.nansum(near.put.open_interest_units) / 75 == 1_734_647
    for expiry in chain.expiries:
        for legs in (expiry.call, expiry.put):
            held = legs.open_interest_units[legs.known()]
            assert (held == np.rint(held)).all()
            for values in (legs.last_inr, legs.bid_inr, legs.ask_inr):
                assert not (values == 0).any()
    assert np.isnan(chain.expiries[-1].call.last_inr).any()
