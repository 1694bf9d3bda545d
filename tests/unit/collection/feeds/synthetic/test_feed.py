from __future__ import annotations

from datetime import timedelta

import pytest

from optrading.collection.feeds.base import Feed, FeedError
from optrading.collection.feeds.synthetic import SyntheticFeed, SyntheticMarket
from optrading.collection.feeds.synthetic.underlyings import UNDERLYINGS

from ..quick_clock import BEGINNING, QuickClock
from ..same_chain import assert_same_market, take


async def test_each_cut_brings_one_chain_of_every_index() -> None:
    clock = QuickClock(BEGINNING + timedelta(milliseconds=250))
    feed: Feed = SyntheticFeed(seed=3, clock=clock)
    async with feed:
        chains = await take(feed.chains({}), 18)
    assert [chain.index for chain in chains] == list(UNDERLYINGS) * 3
    assert [chain.event_time for chain in chains] == [BEGINNING + timedelta(seconds=n // 6) for n in range(18)]
    assert clock.slept_s == [0.75, 1.0]
    assert chains[0].receive_time == BEGINNING + timedelta(milliseconds=250)
    assert (feed.name, feed.identity, feed.indices) == ("synthetic", "synthetic-3", tuple(UNDERLYINGS))
    assert {chain.source for chain in chains} == {"synthetic"}


async def test_a_restarted_feed_shows_the_same_market_and_goes_on_from_now() -> None:
    first = await take(SyntheticFeed(seed=3, clock=QuickClock(), indices=("NIFTY",)).chains({}), 4)
    restarted = SyntheticFeed(seed=3, clock=QuickClock(BEGINNING + timedelta(seconds=2)), indices=("NIFTY",))
    again = await take(restarted.chains({"NIFTY": first[2].event_time}), 1)
    assert_same_market(again[0], first[3])


async def test_a_cut_that_is_durable_already_is_left_out() -> None:
    feed = SyntheticFeed(clock=QuickClock(), indices=("NIFTY", "SENSEX"))
    chains = await take(feed.chains({"NIFTY": BEGINNING}), 3)
    later = BEGINNING + timedelta(seconds=1)
    assert [(c.index, c.event_time) for c in chains] == [("SENSEX", BEGINNING), ("NIFTY", later), ("SENSEX", later)]


@pytest.mark.parametrize("cut_interval_s", [0.05, 0.5, 2.0, 60.0])
async def test_cuts_lie_on_the_grid_of_their_interval(cut_interval_s: float) -> None:
    clock = QuickClock(BEGINNING + timedelta(seconds=cut_interval_s * 0.4))
    feed = SyntheticFeed(clock=clock, indices=("NIFTY",), cut_interval_s=cut_interval_s)
    chains = await take(feed.chains({}), 4)
    cut = timedelta(seconds=cut_interval_s)
    assert [chain.event_time for chain in chains] == [BEGINNING + n * cut for n in range(4)]


async def test_a_late_reader_gets_the_newest_cut() -> None:
    clock = QuickClock()
    chains = SyntheticFeed(clock=clock, indices=("NIFTY",)).chains({})
    await anext(chains)
    clock.advance(10.5)
    assert (await anext(chains)).event_time == BEGINNING + timedelta(seconds=10)
    assert (await anext(chains)).event_time == BEGINNING + timedelta(seconds=11)
    assert clock.slept_s == [0.0, 0.5]


async def test_event_times_grow_even_when_the_clock_is_set_back() -> None:
    clock = QuickClock()
    chains = SyntheticFeed(clock=clock, indices=("NIFTY",)).chains({})
    await anext(chains)
    clock.advance(-3.0)
    assert (await anext(chains)).event_time == BEGINNING + timedelta(seconds=1)


async def test_the_feed_shows_what_the_market_holds() -> None:
    chain = (await take(SyntheticFeed(seed=5, clock=QuickClock(), indices=("BANKEX",)).chains({}), 1))[0]
    assert_same_market(chain, SyntheticMarket(5).chain("BANKEX", BEGINNING, BEGINNING))


def test_an_unknown_index_is_named_with_those_there_are() -> None:
    with pytest.raises(FeedError, match="unknown index ACME; the synthetic market has NIFTY, BANKNIFTY"):
        SyntheticFeed(clock=QuickClock(), indices=("NIFTY", "ACME"))


def test_a_cut_interval_of_nothing_is_refused() -> None:
    with pytest.raises(FeedError, match="cut interval of 0 s"):
        SyntheticFeed(clock=QuickClock(), cut_interval_s=0.0)
