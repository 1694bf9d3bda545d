from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optrading.collection.feeds.synthetic import SyntheticMarket, smile
from optrading.collection.feeds.synthetic.market import FairPrices
from optrading.collection.feeds.synthetic.underlyings import UNDERLYINGS
from optrading.market.chain import Chain, Legs
from optrading.market.clock import IST
from optrading.market.indices import INDICES, lot_size

from ..same_chain import assert_same_market

NOON = datetime(2026, 8, 18, 12, 0, tzinfo=IST)
SYMBOLS = st.sampled_from(sorted(UNDERLYINGS))
INSTANTS = st.datetimes(datetime(2026, 1, 1), datetime(2033, 1, 1), timezones=st.just(UTC))


def every_leg(chain: Chain) -> list[Legs]:
    return [legs for expiry in chain.expiries for legs in (expiry.call, expiry.put)]


def assert_free_of_arbitrage(fair: FairPrices) -> None:
    noise = 1e-11 * fair.spot_inr
    for row, (start, end) in enumerate(zip(fair.listing.bounds, fair.listing.bounds[1:], strict=False)):
        strikes = fair.listing.strike_inr[start:end]
        call, put = fair.leg_inr[:, start:end]
        assert (np.diff(call) <= noise).all()
        assert (np.diff(put) >= -noise).all()
        assert (np.diff(np.diff(call) / np.diff(strikes)) >= -noise).all()
        assert (np.diff(np.diff(put) / np.diff(strikes)) >= -noise).all()
        discount = np.exp(-smile.RATE_PER_YEAR * fair.years[row])
        np.testing.assert_allclose(call - put, discount * (fair.forward_inr[row] - strikes), rtol=0, atol=noise)
    assert (np.diff(fair.theta) >= 0).all()


@settings(max_examples=60)
@given(seed=st.integers(0, 10**6), symbol=SYMBOLS, instant=INSTANTS)
def test_any_chain_at_any_time_is_one_that_an_exchange_could_send(seed: int, symbol: str, instant: datetime) -> None:
    market = SyntheticMarket(seed)
    assert_free_of_arbitrage(market.fair_prices(symbol, instant))
    chain = market.chain(symbol, instant, instant)
    assert (chain.index, chain.event_time, chain.source) == (symbol, instant, "synthetic")
    assert 0.5 < chain.spot_inr / UNDERLYINGS[symbol].level_inr < 2
    for expiry in chain.expiries:
        assert expiry.lot_size == lot_size(symbol, instant.astimezone(IST).date()) > 0
        assert expiry.atm_offset[0] < 0 < expiry.atm_offset[-1]
        assert (expiry.atm_offset == 0).sum() == 1
        assert expiry.buckets == ()
    for legs in every_leg(chain):
        for values in legs.columns():
            assert not values.flags.writeable
            assert not np.isinf(values).any()
        lot = chain.expiries[0].lot_size
        whole = legs.volume_units, legs.open_interest_units, legs.open_interest_change_units
        assert all((values % lot == 0).all() for values in whole)
        assert (legs.volume_units >= 0).all()
        assert (legs.open_interest_units >= 0).all()
        assert (legs.ask_inr > 0).all()
        assert (np.nan_to_num(legs.bid_inr) < legs.ask_inr).all()
        assert not (legs.bid_inr <= 0).any()
        np.testing.assert_array_equal(np.isnan(legs.last_inr), legs.volume_units == 0)
        traded = ~np.isnan(legs.last_inr)
        assert (legs.last_inr <= legs.ask_inr)[traded].all()
        assert (legs.last_inr >= np.nan_to_num(legs.bid_inr))[traded].all()


@settings(max_examples=20)
@given(seed=st.integers(), symbol=SYMBOLS, instant=INSTANTS, others=st.lists(INSTANTS, max_size=3))
def test_the_same_seed_and_instant_give_the_same_chain_whatever_came_before(
    seed: int, symbol: str, instant: datetime, others: list[datetime]
) -> None:
    used = SyntheticMarket(seed)
    for other in others:
        used.chain(symbol, other, other)
    assert_same_market(used.chain(symbol, instant, instant), SyntheticMarket(seed).chain(symbol, instant, instant))


def test_another_seed_is_another_market() -> None:
    one, other = (SyntheticMarket(seed).chain("NIFTY", NOON, NOON) for seed in (1, 2))
    assert one.spot_inr != other.spot_inr


def test_volume_never_decreases_within_a_day_and_begins_anew_at_midnight() -> None:
    market = SyntheticMarket(4)
    midnight = NOON.replace(hour=0)
    for symbol in UNDERLYINGS:
        before: dict[object, np.ndarray] = {}
        for minute in [*range(0, 1440, 17), 929, 930, 931, 1439]:
            at = midnight + timedelta(minutes=minute)
            if minute < 17:
                assert all((legs.volume_units == 0).all() for legs in every_leg(market.chain(symbol, at, at)))
        for minute in sorted([*range(0, 1440, 17), 929, 930, 931, 1439]):
            at = midnight + timedelta(minutes=minute)
            for expiry in market.chain(symbol, at, at).expiries:
                both = np.stack([expiry.call.volume_units, expiry.put.volume_units])
                assert (both >= before.get(expiry.expiry, np.zeros_like(both))).all()
                before[expiry.expiry] = both
        assert all(both.sum() > 0 for both in before.values())


def test_open_interest_moves_and_its_change_is_counted_from_the_start_of_the_day() -> None:
    market = SyntheticMarket(4)
    midnight = NOON.replace(hour=0)
    opened = market.chain("NIFTY", midnight, midnight)
    assert all((legs.open_interest_change_units == 0).all() for legs in every_leg(opened))
    later = [market.chain("NIFTY", NOON + timedelta(minutes=m), NOON) for m in (0, 1, 30)]
    for chain in later:
        for legs, began in zip(every_leg(chain), every_leg(opened), strict=True):
            np.testing.assert_array_equal(
                legs.open_interest_units, began.open_interest_units + legs.open_interest_change_units
            )
    totals = {sum(legs.open_interest_units.sum() for legs in every_leg(chain)) for chain in [opened, *later]}
    assert len(totals) == 4


def test_sizes_are_those_of_the_real_market() -> None:
    chain = SyntheticMarket(1).chain("NIFTY", NOON, NOON)
    near = chain.expiries[0]
    for legs in (near.call, near.put):
        assert 1e6 < legs.open_interest_units.sum() / near.lot_size < 5e6
        assert legs.open_interest_units.max() / near.lot_size > 5e4
        assert legs.volume_units.max() / near.lot_size > 1e5
    at_money = int(np.flatnonzero(near.atm_offset == 0)[0])
    spread = near.call.ask_inr - near.call.bid_inr
    assert spread[at_money] <= 1.0
    assert spread[0] > 2.0


@pytest.mark.parametrize("symbol", sorted(UNDERLYINGS))
def test_far_strikes_are_partly_untraded_but_quoted(symbol: str) -> None:
    chain = SyntheticMarket(1).chain(symbol, NOON, NOON)
    untraded = np.concatenate([np.isnan(legs.last_inr) for legs in every_leg(chain)])
    assert 0 < untraded.mean() < 0.5
    for expiry in chain.expiries:
        near = np.abs(expiry.atm_offset) <= 5
        for legs in (expiry.call.take(near), expiry.put.take(near)):
            assert not np.isnan(legs.last_inr).any()
            assert not np.isnan(legs.ask_inr).any()


def test_the_indices_move_as_real_ones_do() -> None:
    market = SyntheticMarket(9)
    start = NOON - timedelta(days=200)
    spots = np.array(
        [
            [market.fair_prices(symbol, start + timedelta(hours=6 * step)).spot_inr for symbol in UNDERLYINGS]
            for step in range(400)
        ]
    )
    moves = np.diff(np.log(spots), axis=0)
    vols = moves.std(axis=0) * np.sqrt(365 * 4)
    assert ((vols > 0.10) & (vols < 0.17)).all()
    correlations = np.corrcoef(moves.T)
    assert (correlations > 0.45).all()
    nifty, bank_nifty, sensex = (list(UNDERLYINGS).index(s) for s in ("NIFTY", "BANKNIFTY", "SENSEX"))
    assert correlations[nifty, sensex] > 0.9 > correlations[nifty, bank_nifty]


def test_the_spot_moves_from_second_to_second_by_what_its_volatility_allows() -> None:
    market = SyntheticMarket(9)
    spots = np.array([market.chain("NIFTY", NOON + timedelta(seconds=s), NOON).spot_inr for s in range(120)])
    steps = np.abs(np.diff(spots))
    assert (steps > 0).mean() > 0.8
    assert steps.max() < 6 * spots[0] * 0.125 / np.sqrt(365 * 86_400)


def test_every_index_is_there() -> None:
    assert list(UNDERLYINGS) == list(INDICES)
