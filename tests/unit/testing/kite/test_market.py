"""Present values follow the chains: what is unknown is 0, what is not told stays, what changes is noted."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, timedelta

import numpy as np

from optrading.market.chain import Chain, Legs, column
from optrading.testing.kite.instrument_table import InstrumentTable
from optrading.testing.kite.market import Market, paise
from tests.chains import THIS_WEEK, small_chain


def market_after(*chains: Chain) -> tuple[Market, InstrumentTable]:
    table = InstrumentTable(["NIFTY"])
    market = Market(table)
    for chain in chains:
        market.settle()
        market.apply(chain)
    return market, table


def leg(market: Market, table: InstrumentTable, strike_inr: float, kind: str) -> dict[str, int]:
    row = table.list_contract("NIFTY", THIS_WEEK, strike_inr, kind, 65)
    values = market.values(np.array([row]))
    return {name: int(values[name][0]) for name in values.dtype.names}


def with_call(chain: Chain, **columns: float) -> Chain:
    """Return the chain with other values of the first call of this week."""
    first, *rest = chain.expiries
    changed = {}
    for name, value in columns.items():
        values = np.array(getattr(first.call, name))
        values[0] = value
        changed[name] = column(values)
    return replace(chain, expiries=(replace(first, call=replace(first.call, **changed)), *rest))


def test_prices_are_paise_and_amounts_units() -> None:
    chain = small_chain()
    market, table = market_after(chain)
    values = leg(market, table, 24_900.0, "CE")
    legs = chain.expiries[0].call
    assert values["last"] == round(legs.last_inr[0] * 100)
    assert (values["bid"], values["ask"]) == (round(legs.bid_inr[0] * 100), round(legs.ask_inr[0] * 100))
    assert (values["volume"], values["interest"]) == (legs.volume_units[0], legs.open_interest_units[0])
    assert values["exchange_s"] == values["last_trade_s"] == int(chain.event_time.timestamp())
    spot = market.values(np.array([table.row_of_index("NIFTY")]))
    assert spot["last"][0] == 2_495_150


def test_paise_are_rounded_half_to_even() -> None:
    assert paise(np.array([0.125, 0.375, np.nan])).tolist() == [12, 38, 0]


def test_what_is_unknown_of_a_known_leg_is_0_and_an_unknown_leg_stays_as_it_was() -> None:
    chain = small_chain()
    without = with_call(chain, bid_inr=np.nan, ask_inr=np.nan)
    market, table = market_after(chain, without)
    assert leg(market, table, 24_900.0, "CE")["bid"] == 0
    before = leg(market, table, 24_900.0, "CE")
    first, *rest = without.expiries
    market.apply(replace(without, expiries=(replace(first, call=Legs.unknown(3)), *rest)))
    assert leg(market, table, 24_900.0, "CE") == before


def test_only_what_is_new_has_changed() -> None:
    chain = small_chain()
    later = replace(with_call(chain, last_inr=200.0), event_time=chain.event_time + timedelta(minutes=1))
    market, table = market_after(chain, later)
    assert np.flatnonzero(market.changed).tolist() == [table.list_contract("NIFTY", THIS_WEEK, 24_900.0, "CE", 65)]
    assert leg(market, table, 24_900.0, "CE")["exchange_s"] == int(later.event_time.timestamp())
    assert leg(market, table, 24_950.0, "CE")["exchange_s"] == int(chain.event_time.timestamp())


def test_a_quote_that_moves_is_no_trade() -> None:
    chain = small_chain()
    later = replace(with_call(chain, bid_inr=1.0), event_time=chain.event_time + timedelta(minutes=1))
    market, table = market_after(chain, later)
    values = leg(market, table, 24_900.0, "CE")
    assert values["last_trade_s"] == int(chain.event_time.timestamp())
    assert values["exchange_s"] == int(later.event_time.timestamp())


def test_the_day_has_open_high_low_and_the_close_of_the_day_before() -> None:
    chains = [
        replace(with_call(small_chain(), last_inr=price), event_time=small_chain().event_time + timedelta(minutes=n))
        for n, price in enumerate((100.0, 120.0, 90.0, 110.0))
    ]
    market, table = market_after(*chains)
    values = leg(market, table, 24_900.0, "CE")
    assert [values[name] for name in ("open", "high", "low", "close")] == [10_000, 12_000, 9_000, 0]
    market.apply(replace(chains[0], event_time=chains[0].event_time + timedelta(days=1)))
    values = leg(market, table, 24_900.0, "CE")
    assert [values[name] for name in ("open", "high", "low", "close")] == [10_000, 10_000, 10_000, 11_000]


def test_its_time_is_the_newest_chains() -> None:
    market, _ = market_after(small_chain(minute=3), small_chain(minute=1))
    assert market.now == small_chain(minute=3).event_time.astimezone(UTC)
