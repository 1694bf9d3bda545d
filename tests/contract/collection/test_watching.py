from __future__ import annotations

import asyncio
import time
from typing import Any

import grpc
import pytest

from optrading.collection.v1 import collection_service_pb2 as pb
from optrading.common.errors import reason_of
from optrading.market.chain import Position
from optrading.testing.clock import ManualClock
from optrading.testing.scripted_feed import ScriptedFeed
from tests.chains import small_chain
from tests.contract.collection.conftest import Collecting, Served, failure

pytestmark = pytest.mark.timeout(30)


def minutes(first: int, last: int, index: str = "NIFTY") -> list:
    return [small_chain(index, n) for n in range(first, last + 1)]


async def take(call: Any, count: int) -> list[pb.WatchChainsResponse]:
    """Return the next chains, past heartbeats."""
    taken: list[pb.WatchChainsResponse] = []
    while len(taken) < count:
        response = await call.read()
        assert response is not grpc.aio.EOF
        if response.HasField("chain"):
            taken.append(response)
    return taken


async def sequences(call: Any, count: int) -> list[int]:
    return [response.chain.sequence for response in await take(call, count)]


async def given(served: Served, feed: ScriptedFeed, first: int, last: int) -> None:
    feed.give(*minutes(first, last))
    await served.until_shown("NIFTY", last)


async def test_without_a_position_it_begins_with_the_newest_and_goes_on(
    collecting: Collecting, feed: ScriptedFeed
) -> None:
    async with collecting(feed) as served:
        await given(served, feed, 1, 3)
        watch = served.watch()
        (first,) = await take(watch, 1)
        assert first.chain.sequence == 3
        assert first.traceparent.startswith("00-")
        feed.give(small_chain("SENSEX", 1), *minutes(4, 4))
        (second,) = await take(watch, 1)
        assert (second.chain.index, second.chain.sequence, second.skipped_count) == ("NIFTY", 4, 0)


async def test_a_watch_of_one_expiry_gets_that_one_only_and_no_error_when_it_is_gone(
    collecting: Collecting, feed: ScriptedFeed
) -> None:
    async with collecting(feed) as served:
        await given(served, feed, 1, 1)
        by_bucket, by_day = served.watch(bucket="this_week"), served.watch(expiry="2026-08-18")
        for watch in (by_bucket, by_day):
            (response,) = await take(watch, 1)
            assert [each.expiry for each in response.chain.expiries] == ["2026-08-18"]
        feed.give(*minutes(24 * 60, 24 * 60))  # the next day
        (moved,), (still,) = await take(by_bucket, 1), await take(by_day, 1)
        assert [each.expiry for each in moved.chain.expiries] == ["2026-08-25"]
        assert [each.expiry for each in still.chain.expiries] == ["2026-08-18"]


async def test_lossless_readers_get_every_chain_in_order(collecting: Collecting, feed: ScriptedFeed) -> None:
    async with collecting(feed) as served:
        watches = [served.watch_all() for _ in range(3)]
        for begin in range(1, 300, 50):
            feed.give(*minutes(begin, begin + 49))
        for found in await asyncio.gather(*(sequences(watch, 300) for watch in watches)):
            assert found == list(range(1, 301))


async def test_both_kinds_resume_after_the_last_chain_they_had(collecting: Collecting, feed: ScriptedFeed) -> None:
    async with collecting(feed) as served:
        await given(served, feed, 1, 60)
        epoch = served.running.pipeline.epoch
        for position in ((epoch, 10), (0, 10)):
            assert await sequences(served.watch_all(after=position), 50) == list(range(11, 61))
            assert await sequences(served.watch(after=position), 50) == list(range(11, 61))
        assert await sequences(served.watch_all(after=(epoch, 0)), 60) == list(range(1, 61))


async def test_a_slow_reader_of_the_newest_is_told_how_many_it_missed(
    collecting: Collecting, feed: ScriptedFeed
) -> None:
    async with collecting(feed) as served:
        strikes = tuple(float(strike) for strike in range(20_000, 30_000, 10))  # large: the network buffers few of them
        watch = served.watch()
        for n in range(1, 81):
            feed.give(small_chain("NIFTY", n, strikes=strikes))
        await served.until_shown("NIFTY", 80)
        position, skipped, received = 0, 0, 0
        while position < 80:
            (response,) = await take(watch, 1)
            if received:
                assert response.chain.sequence == position + 1 + response.skipped_count
            position, received = response.chain.sequence, received + 1
            skipped += response.skipped_count
        assert skipped > 0
        assert received < 80


async def test_a_quiet_stream_says_that_it_lives_and_how_far_the_sender_is(
    collecting: Collecting, feed: ScriptedFeed
) -> None:
    async with collecting(feed, heartbeat_interval_s=0.02) as served:
        await given(served, feed, 1, 2)
        for watch in (served.watch(), served.watch_all()):
            beats = []
            while len(beats) < 2:
                response = await watch.read()
                if response.HasField("heartbeat"):
                    beats.append((response.heartbeat.latest_epoch, response.heartbeat.latest_sequence))
            assert beats == [(served.running.pipeline.epoch, 2)] * 2
        silent = served.watch("SENSEX")
        assert (await silent.read()).HasField("heartbeat")


async def test_a_stream_ends_at_its_age_and_resumes_without_a_gap(collecting: Collecting, feed: ScriptedFeed) -> None:
    async with collecting(feed, heartbeat_interval_s=0.02, stream_max_age_s=0.1) as served:
        await given(served, feed, 1, 5)
        for watch in (served.watch(), served.watch_all()):
            error = await failure(watch)
            assert (error.code(), reason_of(error)) == (grpc.StatusCode.UNAVAILABLE, "STREAM_AGE_REACHED")
        assert await sequences(served.watch_all(after=(0, 3)), 2) == [4, 5]


async def test_positions_that_cannot_be_are_refused(collecting: Collecting, feed: ScriptedFeed) -> None:
    async with collecting(feed) as served:
        await given(served, feed, 1, 2)
        epoch = served.running.pipeline.epoch
        for watch, code, reason in (
            (served.watch_all(after=(epoch, 3)), grpc.StatusCode.OUT_OF_RANGE, "SEQUENCE_AHEAD"),
            (served.watch(after=(0, 3)), grpc.StatusCode.OUT_OF_RANGE, "SEQUENCE_AHEAD"),
            (served.watch_all(after=(epoch + 1, 1)), grpc.StatusCode.FAILED_PRECONDITION, "EPOCH_SUPERSEDED"),
            (served.watch("SENSEX", after=(epoch, 1)), grpc.StatusCode.UNAVAILABLE, "NO_CHAIN_YET"),
            (served.watch("DAX"), grpc.StatusCode.NOT_FOUND, "UNKNOWN_INDEX"),
            (served.watch(bucket="soon"), grpc.StatusCode.INVALID_ARGUMENT, "UNKNOWN_BUCKET"),
            (served.watch(expiry="2026-08-19"), grpc.StatusCode.NOT_FOUND, "UNKNOWN_EXPIRY"),
            (served.watch(bucket="next_month"), grpc.StatusCode.NOT_FOUND, "NO_MONTHLY_EXPIRY"),
        ):
            error = await failure(watch)
            assert (error.code(), reason_of(error)) == (code, reason)


async def acknowledge(served: Served, epoch: int, sequence: int, index: str = "NIFTY") -> None:
    request = pb.AcknowledgeChainsRequest(index=index, epoch=epoch, sequence=sequence)
    await served.stub.AcknowledgeChains(request, timeout=10)


async def test_what_storage_has_and_nobody_needs_is_trimmed_and_older_positions_are_evicted(
    collecting: Collecting, feed: ScriptedFeed, clock: ManualClock
) -> None:
    async with collecting(feed, journal_window_s=0, trim_interval_s=30) as served:
        await given(served, feed, 1, 60)
        epoch = served.running.pipeline.epoch
        await acknowledge(served, epoch, 50)
        await acknowledge(served, epoch, 40)  # an older one changes nothing
        await clock.until_sleeping()
        clock.advance(small_chain("NIFTY", 61).receive_time - clock.now())
        await served.running.trimmer.trim()
        for watch in (served.watch_all(after=(epoch, 20)), served.watch(after=(epoch, 20))):
            error = await failure(watch)
            assert (error.code(), reason_of(error)) == (grpc.StatusCode.OUT_OF_RANGE, "SEQUENCE_EVICTED")
        # What is still in memory needs no journal.
        assert await sequences(served.watch_all(after=(epoch, 45)), 15) == list(range(46, 61))
        assert await sequences(served.watch_all(), 10) == list(range(51, 61))


async def test_an_acknowledgement_of_what_this_collector_never_had_is_refused(
    collecting: Collecting, feed: ScriptedFeed
) -> None:
    async with collecting(feed) as served:
        epoch = served.running.pipeline.epoch
        for position, index, code, reason in (
            ((epoch + 1, 1), "NIFTY", grpc.StatusCode.FAILED_PRECONDITION, "EPOCH_SUPERSEDED"),
            ((epoch, 1), "DAX", grpc.StatusCode.NOT_FOUND, "UNKNOWN_INDEX"),
            ((0, 0), "NIFTY", grpc.StatusCode.INVALID_ARGUMENT, "INVALID_POSITION"),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await acknowledge(served, *position, index)
            assert (caught.value.code(), reason_of(caught.value)) == (code, reason)


async def test_a_restart_shows_the_last_chain_at_once_and_readers_go_on_into_the_new_epoch(
    collecting: Collecting, feed: ScriptedFeed
) -> None:
    async with collecting(feed) as served:
        await given(served, feed, 1, 3)
        before = served.running.pipeline.epoch
    again = ScriptedFeed("NIFTY", "SENSEX")
    async with collecting(again) as served:
        chain = (await served.stub.GetChain(pb.GetChainRequest(index="NIFTY"), timeout=10)).chain
        assert (chain.epoch, chain.sequence) == (before, 3)
        watch = served.watch_all(after=(before, 2))
        assert await sequences(watch, 1) == [3]
        again.give(*minutes(3, 5))
        after = [(r.chain.epoch, r.chain.sequence) for r in await take(watch, 2)]
    assert after == [(served.running.pipeline.epoch, 1), (served.running.pipeline.epoch, 2)]
    assert served.running.pipeline.epoch > before
    assert again.resume == {"NIFTY": small_chain("NIFTY", 3).event_time}


async def test_a_service_that_stops_ends_its_streams_at_once_and_says_why(
    collecting: Collecting, feed: ScriptedFeed
) -> None:
    async with collecting(feed, drain_s=20.0) as served:
        await given(served, feed, 1, 1)
        watches = [served.watch(), served.watch_all(), served.watch("SENSEX")]
        await asyncio.gather(*(take(watch, 1) for watch in watches[:2]))
        endings = [asyncio.create_task(failure(watch)) for watch in watches]
        await asyncio.sleep(0)
        begun = time.monotonic()
    assert time.monotonic() - begun < 5
    for error in await asyncio.gather(*endings):
        assert error.code() is grpc.StatusCode.UNAVAILABLE


async def test_the_board_says_shutting_down_to_who_still_reads(collecting: Collecting, feed: ScriptedFeed) -> None:
    async with collecting(feed) as served:
        watch = served.watch()
        ending = asyncio.create_task(failure(watch))
        await given(served, feed, 1, 1)
        served.running.board.close()
        assert reason_of(await ending) == "SHUTTING_DOWN"
        assert served.running.board.newest("NIFTY").position == Position(served.running.pipeline.epoch, 1)
