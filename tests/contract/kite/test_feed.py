from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import SecretStr

from optrading.collection.feeds.base import FeedError, FeedItem
from optrading.collection.feeds.kite.feed import KiteFeed
from optrading.collection.feeds.kite.session import KiteSession, valid_until, write_session
from optrading.collection.feeds.opening import open_feed
from optrading.collection.settings import CollectionSettings
from optrading.common.clock import SystemClock
from optrading.market.chain import Chain, ExpiryChain
from optrading.market.gaps import GapCause, Interruption
from optrading.market.quality import QualityFlag
from optrading.market.window import WindowShape
from optrading.testing.kite import Account, ChainTape, KiteBroker, Limits
from optrading.testing.kite.garbage import garbage_frame
from tests.chains import OPENING, small_chain

NOISE = next(seed for seed in range(100) if garbage_frame(random.Random(seed))[0] == "noise")
UNLIMITED = Limits(quotes_per_s=1000, candles_per_s=1000, others_per_s=1000)


def paise(chain: Chain) -> Chain:
    """Return `chain` with a spot that the broker can say."""
    return replace(chain, spot_inr=round(chain.spot_inr, 2))


@dataclass
class Fed:
    """A feed under way, and what it has said."""

    feed: KiteFeed
    broker: KiteBroker
    items: list[FeedItem]
    heard: asyncio.Event

    async def until(self, condition: Callable[[], Any], timeout_s: float = 8.0) -> Any:
        async with asyncio.timeout(timeout_s):
            while not (found := condition()):
                self.heard.clear()
                await self.heard.wait()
            return found

    @property
    def chains(self) -> list[Chain]:
        return [item for item in self.items if isinstance(item, Chain)]

    @property
    def news(self) -> list[Interruption]:
        return [item for item in self.items if isinstance(item, Interruption)]

    def of(self, cause: GapCause) -> list[Interruption]:
        return [news for news in self.news if news.cause is cause]

    async def until_subscribed(self, tokens: int) -> None:
        async with asyncio.timeout(8):
            await self.broker.until_clients(lambda broker: len(broker.subscribed_tokens) >= tokens)


def log_in(home: Path, broker: KiteBroker, access_token: str | None = None) -> None:
    now = datetime.now(UTC)
    token = SecretStr(access_token or broker.account.new_access_token())
    write_session(
        home / "kite", KiteSession(broker.account.api_key, token, "AB1234", "A Trader", now, valid_until(now))
    )


@pytest.fixture
def feeding(tmp_path: Path) -> Callable[..., Any]:
    @asynccontextmanager
    async def start(
        chains: list[Chain], resume: dict[str, datetime] | None = None, **changes: Any
    ) -> AsyncIterator[Fed]:
        async with KiteBroker(ChainTape(chains), account=Account(), limits=UNLIMITED, heartbeat_s=0.05) as broker:
            log_in(tmp_path, broker)
            values = {
                "home": tmp_path,
                "feed": "kite",
                "kite_api_key": broker.account.api_key,
                "kite_rest_url": broker.rest_url,
                "kite_ticker_url": broker.ticker_url,
                "kite_indices": "NIFTY",
                "active_strike_offsets": "all",
                "market_hours": "recorded",
                "kite_silence_s": 0.5,
                "kite_longest_retry_s": 0.5,
                "kite_refused_retry_s": 60.0,
            }
            settings = CollectionSettings(**{**values, **changes})
            feed = await asyncio.to_thread(open_feed, settings, SystemClock())
            assert isinstance(feed, KiteFeed)
            async with feed:
                fed = Fed(feed, broker, [], asyncio.Event())

                async def read() -> None:
                    async for item in feed.chains(resume or {}):
                        fed.items.append(item)
                        fed.heard.set()

                reading = asyncio.create_task(read())
                try:
                    yield fed
                finally:
                    reading.cancel()
                    await asyncio.gather(reading, return_exceptions=True)

    return start


def day(minutes: int, index: str = "NIFTY") -> list[Chain]:
    return [paise(small_chain(index, minute)) for minute in range(minutes)]


def assert_same_legs(found: ExpiryChain, recorded: ExpiryChain) -> None:
    np.testing.assert_array_equal(found.strike_inr, recorded.strike_inr)
    assert (found.expiry, found.lot_size) == (recorded.expiry, recorded.lot_size)
    for ours, theirs in ((found.call, recorded.call), (found.put, recorded.put)):
        for name in ("last_inr", "bid_inr", "ask_inr", "volume_units", "open_interest_units"):
            np.testing.assert_array_equal(np.round(getattr(ours, name), 2), np.round(getattr(theirs, name), 2), name)
        assert not ours.quality.any()


async def test_a_recorded_day_comes_out_leg_by_leg_as_it_was_recorded(feeding) -> None:
    recorded = day(6)
    async with feeding(recorded) as fed:
        await fed.until_subscribed(13)
        await fed.broker.advance_to(5)
        await fed.until(lambda: fed.chains and fed.chains[-1].event_time == recorded[-1].event_time)
    by_time = {chain.event_time: chain for chain in fed.chains}  # the last of an instant is what history shows
    assert list(by_time) == [chain.event_time for chain in recorded]
    for chain in recorded:
        found = by_time[chain.event_time]
        assert found.spot_inr == chain.spot_inr
        assert (found.index, found.source) == ("NIFTY", "kite")
        for ours, theirs in zip(found.expiries, chain.expiries, strict=True):
            assert_same_legs(ours, theirs)


async def test_an_index_whose_legs_are_not_subscribed_yet_is_no_empty_chain(feeding) -> None:
    async with feeding(day(3), active_strike_offsets="0") as fed:
        await fed.until_subscribed(2)  # the index and what is near its value
        await fed.broker.advance_to(1)
        await fed.until(lambda: fed.chains)
    assert all(chain.leg_count() for chain in fed.chains)


async def test_what_is_durable_already_does_not_come_again(feeding) -> None:
    recorded = day(4)
    async with feeding(recorded, resume={"NIFTY": recorded[1].event_time}) as fed:
        await fed.until_subscribed(13)
        await fed.broker.advance_to(3)
        await fed.until(lambda: fed.chains and fed.chains[-1].event_time == recorded[-1].event_time)
    assert {chain.event_time for chain in fed.chains} <= {chain.event_time for chain in recorded[2:]}


async def test_only_active_strikes_and_one_more_are_subscribed(feeding) -> None:
    strikes = tuple(24_000.0 + 50 * step for step in range(41))
    recorded = [paise(small_chain(minute=minute, strikes=strikes)) for minute in range(3)]
    async with feeding(recorded, active_strike_offsets="-1..1") as fed:
        await fed.until_subscribed(1 + 2 * 2 * 5)
        assert len(fed.broker.subscribed_tokens) == 1 + 2 * 2 * 5
        await fed.broker.advance_to(2)
        chain = await fed.until(lambda: fed.chains and fed.chains[-1])
    first = chain.expiries[0]
    assert len(first.strike_inr) == 41  # what is listed is told; what was not asked for is not known
    known = first.strike_inr[first.call.known()]
    assert known.tolist() == [24_850.0, 24_900.0, 24_950.0, 25_000.0, 25_050.0]
    assert (first.call.quality[~first.call.known()] == QualityFlag.INCOMPLETE.value).all()


async def test_tokens_are_spread_over_connections_within_their_limits(feeding) -> None:
    async with feeding(day(2), kite_tokens_per_connection=5) as fed:
        await fed.until_subscribed(13)
        carried = sorted(len(connection.tokens) for connection in fed.broker.ticker.connections)
        assert carried == [3, 5, 5]


async def test_more_tokens_than_there_is_room_for_leave_out_what_is_far_from_the_money(feeding) -> None:
    async with feeding(day(2), kite_tokens_per_connection=5, kite_connections=1) as fed:
        await fed.until_subscribed(5)
        await fed.broker.advance_to(1)
        chain = await fed.until(lambda: fed.chains and fed.chains[-1])
    assert np.count_nonzero(chain.expiries[0].call.known()) == 2
    assert not chain.expiries[1].call.known().any()


@pytest.mark.parametrize("orderly", [True, False])
async def test_a_dropped_connection_is_a_gap_and_is_made_again(feeding, orderly: bool) -> None:
    recorded = day(6)
    async with feeding(recorded) as fed:
        await fed.until_subscribed(13)
        await fed.broker.advance_to(2)
        await fed.until(lambda: fed.chains)
        fed.broker.faults.drop(orderly=orderly)
        began = await fed.until(lambda: fed.of(GapCause.DISCONNECT))
        assert began[0].until is None
        assert began[0].since == fed.chains[-1].event_time
        await fed.until_subscribed(13)
        await fed.broker.advance_to(4)
        ended = await fed.until(lambda: len(fed.of(GapCause.DISCONNECT)) == 2 and fed.of(GapCause.DISCONNECT)[1])
        await fed.broker.advance_to(5)
        await fed.until(lambda: fed.chains[-1].event_time == recorded[5].event_time)
    assert (ended.since, ended.until) == (began[0].since, fed.chains[-2].event_time) or ended.until >= ended.since


async def test_a_connection_that_says_nothing_is_left_and_made_again(feeding) -> None:
    recorded = day(6)
    async with feeding(recorded) as fed:
        await fed.until_subscribed(13)
        await fed.broker.advance_to(1)
        await fed.until(lambda: fed.chains)
        fed.broker.faults.half_open()
        began = await fed.until(lambda: fed.of(GapCause.DISCONNECT))
        assert "nothing heard for 0.5 s" in began[0].detail
        fed.broker.faults.mend()
        await fed.until_subscribed(13)
        await fed.broker.advance_to(5)
        await fed.until(lambda: fed.chains[-1].event_time == recorded[5].event_time)
        assert len(await fed.until(lambda: fed.of(GapCause.DISCONNECT))) == 2


async def test_legs_are_stale_while_their_connection_is_gone(feeding) -> None:
    async with feeding(day(6), kite_tokens_per_connection=7) as fed:
        await fed.until_subscribed(13)
        await fed.broker.advance_to(1)
        await fed.until(lambda: fed.chains)
        fed.broker.faults.half_open(1)
        await fed.until(lambda: fed.of(GapCause.DISCONNECT))
        await fed.broker.advance_to(3)
        chain = await fed.until(
            lambda: fed.chains[-1] if fed.chains[-1].event_time >= OPENING + timedelta(minutes=2) else 0
        )
        flags = np.concatenate([leg.quality for each in chain.expiries for leg in (each.call, each.put)])
        assert 0 < np.count_nonzero(flags & QualityFlag.STALE.value) < len(flags)
        assert len(fed.of(GapCause.DISCONNECT)) == 1  # chains of the other connection do not end it


async def test_a_frame_of_garbage_is_a_gap_until_the_next_tick_and_invents_nothing(feeding) -> None:
    recorded = day(6)
    async with feeding(recorded) as fed:
        await fed.until_subscribed(13)
        await fed.broker.advance_to(1)
        await fed.until(lambda: fed.chains)
        fed.broker.faults.garbage(seed=NOISE)
        await fed.broker.advance_to(5)
        await fed.until(lambda: fed.chains[-1].event_time == recorded[5].event_time)
        assert fed.of(GapCause.FEED_ERROR)[0].until is None
        assert fed.of(GapCause.FEED_ERROR)[-1].until is not None
    for ours, theirs in zip(fed.chains[-1].expiries, recorded[5].expiries, strict=True):
        assert_same_legs(ours, theirs)


@pytest.mark.parametrize("fault", ["duplicate", "reorder"])
async def test_frames_that_come_twice_or_in_another_order_change_nothing(feeding, fault: str) -> None:
    recorded = day(6)
    async with feeding(recorded) as fed:
        await fed.until_subscribed(13)
        await fed.broker.advance_to(1)
        getattr(fed.broker.faults, fault)()
        await fed.broker.advance_to(3)
        fed.broker.faults.mend()
        await fed.broker.advance_to(5)
        await fed.until(lambda: fed.chains and fed.chains[-1].event_time == recorded[5].event_time)
    times = [chain.event_time for chain in fed.chains]
    assert times == sorted(times)
    for ours, theirs in zip(fed.chains[-1].expiries, recorded[5].expiries, strict=True):
        assert_same_legs(ours, theirs)


async def test_a_refused_session_is_said_once_not_tried_again_and_mended_by_a_login(feeding, tmp_path: Path) -> None:
    recorded = day(6)
    async with feeding(recorded) as fed:
        await fed.until_subscribed(13)
        await fed.broker.advance_to(1)
        await fed.until(lambda: fed.chains)
        fed.broker.faults.revoke()
        await fed.until(lambda: fed.of(GapCause.SESSION_REFUSED))
        refused = fed.broker.ticker.refused if hasattr(fed.broker.ticker, "refused") else None
        await asyncio.sleep(0)
        log_in(tmp_path, fed.broker)
        await fed.until_subscribed(13)
        await fed.broker.advance_to(5)
        await fed.until(lambda: fed.chains[-1].event_time == recorded[5].event_time)
        assert [news.until is None for news in fed.of(GapCause.SESSION_REFUSED)] == [True, False]
        assert refused is None or refused <= 2


async def test_an_index_that_is_not_selected_is_not_subscribed(feeding) -> None:
    recorded = [chain for minute in range(3) for chain in (day(3)[minute], day(3, "SENSEX")[minute])]
    async with feeding(recorded, kite_indices="") as fed:
        await fed.until_subscribed(26)
        fed.feed.select(["SENSEX"])
        async with asyncio.timeout(8):
            await fed.broker.until_clients(lambda broker: len(broker.subscribed_tokens) == 13)
        await fed.broker.advance_to(2)
        await fed.until(lambda: [chain for chain in fed.chains if chain.event_time > OPENING])
    assert {chain.index for chain in fed.chains if chain.event_time > OPENING} == {"SENSEX"}


async def test_history_is_a_chain_a_minute(feeding) -> None:
    recorded = day(8)
    async with feeding(recorded) as fed:
        await fed.until_subscribed(13)
        await fed.broker.advance_to(7)
        found = await fed.feed.history("NIFTY", recorded[1].event_time, recorded[6].event_time)
    assert found
    assert all(recorded[1].event_time < chain.event_time < recorded[6].event_time for chain in found)
    for chain in found:
        assert chain.source == "kite"
        assert np.isnan(chain.expiries[0].call.bid_inr).all()
        assert not np.isnan(chain.expiries[0].call.last_inr).any()


async def test_without_a_login_there_is_one_clear_line(tmp_path: Path) -> None:
    settings = CollectionSettings(home=tmp_path, feed="kite", kite_api_key="key")
    with pytest.raises(FeedError, match=r"nobody is logged in.*optrading kite login"):
        open_feed(settings, SystemClock())
    with pytest.raises(FeedError, match="needs KITE_API_KEY"):
        open_feed(CollectionSettings(home=tmp_path, feed="kite"), SystemClock())


async def test_a_session_that_is_over_is_one_clear_line(tmp_path: Path) -> None:
    yesterday = datetime.now(UTC) - timedelta(days=2)
    session = KiteSession("key", SecretStr("token"), "AB1234", "A Trader", yesterday, valid_until(yesterday))
    write_session(tmp_path / "kite", session)
    with pytest.raises(FeedError, match="the Kite session ended"):
        open_feed(CollectionSettings(home=tmp_path, feed="kite", kite_api_key="key"), SystemClock())


def test_the_window_of_a_feed_is_wider_than_what_is_collected() -> None:
    assert WindowShape(frozenset({0})).widened(1).offsets == frozenset({-1, 0, 1})
