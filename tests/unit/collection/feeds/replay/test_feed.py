from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from optrading.collection.feeds.base import Feed
from optrading.collection.feeds.replay import Recording, ReplayFeed, open_recording
from optrading.testing.recordings import write_recording

from ..quick_clock import BEGINNING, QuickClock
from ..same_chain import assert_same_market, take


@pytest.fixture
def recording(tmp_path: Path) -> Recording:
    """Two indices, three minutes."""
    write_recording(tmp_path / "day.parquet", index=["NIFTY", "SENSEX"], minutes=3, strikes=2)
    return open_recording(tmp_path / "day.parquet")


async def test_chains_come_in_order_and_the_feed_ends_with_the_recording(recording: Recording) -> None:
    clock = QuickClock()
    feed: Feed = ReplayFeed(recording, clock=clock, speed=60.0)
    async with feed:
        chains = await take(feed.chains({}))
    assert [chain.index for chain in chains] == ["NIFTY", "SENSEX"] * 3
    assert [chain.event_time for chain in chains] == [recording.event_time(number) for number in range(6)]
    assert [chain.source for chain in chains] == ["replay"] * 6
    assert clock.slept_s == [1.0, 1.0]
    assert [(chain.receive_time - BEGINNING).total_seconds() for chain in chains] == [0, 0, 1, 1, 2, 2]
    assert feed.identity == recording.identity
    assert feed.indices == ("NIFTY", "SENSEX")


async def test_what_is_durable_already_is_left_out_index_by_index(recording: Recording) -> None:
    first, second, third = (recording.event_time(number) for number in (0, 2, 4))
    feed = ReplayFeed(recording, clock=QuickClock(), speed=None)
    chains = await take(feed.chains({"NIFTY": second, "SENSEX": first, "BANKEX": third}))
    assert [(c.index, c.event_time) for c in chains] == [("SENSEX", second), ("NIFTY", third), ("SENSEX", third)]


async def test_the_first_chain_after_a_resume_is_not_waited_for(recording: Recording) -> None:
    clock = QuickClock()
    feed = ReplayFeed(recording, clock=clock, speed=1.0)
    await take(feed.chains({"NIFTY": recording.event_time(2), "SENSEX": recording.event_time(2)}))
    assert clock.slept_s == []


async def test_a_recording_that_is_wholly_durable_ends_at_once(recording: Recording) -> None:
    feed = ReplayFeed(recording, clock=QuickClock(), speed=1.0)
    end = recording.event_time(5)
    assert await take(feed.chains({"NIFTY": end, "SENSEX": end})) == []


async def test_a_loop_repeats_the_recording_with_its_event_times_after_the_usual_gap(recording: Recording) -> None:
    clock = QuickClock()
    feed = ReplayFeed(recording, clock=clock, speed=60.0, loop=True)
    chains = await take(feed.chains({}), 14)
    for number, chain in enumerate(chains):
        assert_same_market(chain, recording.chain(number % 6, BEGINNING, "replay"))
    assert clock.slept_s == [1.0] * 6


async def test_a_resumed_loop_leaves_out_durable_chains_only_in_its_first_pass(recording: Recording) -> None:
    end = recording.event_time(5)
    feed = ReplayFeed(recording, clock=QuickClock(), speed=None, loop=True)
    chains = await take(feed.chains({"NIFTY": end, "SENSEX": recording.event_time(3)}), 8)
    assert [chain.event_time for chain in chains] == [
        end,
        *(recording.event_time(number) for number in range(6)),
        recording.event_time(0),
    ]


async def test_a_loop_of_one_instant_keeps_the_clock_moving(tmp_path: Path) -> None:
    write_recording(tmp_path / "day.json", minutes=1, strikes=1)
    clock = QuickClock()
    feed = ReplayFeed(open_recording(tmp_path / "day.json"), clock=clock, speed=60.0, loop=True)
    await take(feed.chains({}), 4)
    assert clock.slept_s == [1.0, 1.0, 1.0]


async def test_other_tasks_have_their_turn_while_a_recording_plays_at_full_speed(recording: Recording) -> None:
    feed = ReplayFeed(recording, clock=QuickClock(), speed=None, loop=True)
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while turns < 20:
            turns += 1
            await asyncio.sleep(0)

    other = asyncio.create_task(count_turns())
    chains = feed.chains({})
    async with asyncio.timeout(10):
        async for _ in chains:
            if other.done():
                break
    assert turns == 20


async def test_a_cancelled_reader_leaves_a_feed_that_can_be_read_again(recording: Recording) -> None:
    feed = ReplayFeed(recording, clock=QuickClock(), speed=None)
    chains = feed.chains({})
    await anext(chains)
    await chains.aclose()
    again = await take(feed.chains({}))
    assert len(again) == 6
    assert again[0].event_time + timedelta(minutes=2) == again[-1].event_time
