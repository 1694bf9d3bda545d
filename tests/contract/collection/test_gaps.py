from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import grpc
import pytest

from optrading.collection.v1 import collection_service_pb2 as pb
from optrading.common.errors import reason_of
from optrading.market.codec import to_timestamp
from optrading.market.gaps import GapCause, Interruption
from optrading.market.v1 import gap_pb2
from optrading.testing.scripted_feed import ScriptedFeed
from tests.chains import OPENING, small_chain
from tests.contract.collection.conftest import Collecting

MINUTE = timedelta(minutes=1)


def interruption(begin: int, end: int | None, cause: GapCause = GapCause.DISCONNECT) -> Interruption:
    until = None if end is None else OPENING + end * MINUTE
    return Interruption("NIFTY", cause, OPENING + begin * MINUTE, until, "connection lost")


async def changes(served, count: int, ledger_id: str = "", after: int = 0) -> list[pb.WatchGapsResponse]:
    request = pb.WatchGapsRequest(ledger_id=ledger_id, resume_after_change=after)
    call = served.stub.WatchGaps(request, timeout=20)
    found = []
    while len(found) < count:
        response = await call.read()
        if response.change:
            found.append(response)
    call.cancel()
    return found


async def test_a_gap_is_told_when_it_begins_and_when_it_ends(collecting: Collecting, feed: ScriptedFeed) -> None:
    async with collecting(feed, backfill_enabled=False) as served:
        feed.give(small_chain("NIFTY", 0), interruption(0, None))
        [first] = await changes(served, 1)
        assert first.change == 1
        assert (first.gap.index, first.gap.cause) == ("NIFTY", gap_pb2.GAP_CAUSE_DISCONNECT)
        assert first.gap.start_time == to_timestamp(OPENING)
        assert not first.gap.HasField("end_time")
        assert first.gap.epoch == served.running.pipeline.epoch
        feed.give(interruption(0, None), interruption(0, 4), small_chain("NIFTY", 4))
        [second] = await changes(served, 1, first.ledger_id, after=1)
        assert second.gap.gap_id == first.gap.gap_id
        assert second.gap.end_time == to_timestamp(OPENING + 4 * MINUTE)


async def test_chains_say_how_many_gaps_are_open(collecting: Collecting, feed: ScriptedFeed) -> None:
    async with collecting(feed, backfill_enabled=False) as served:
        feed.give(small_chain("NIFTY", 0), interruption(0, None), small_chain("NIFTY", 1), interruption(0, 2))
        feed.give(small_chain("NIFTY", 2))
        await served.until_shown("NIFTY", 3)
        stream = served.watch_all()
        counts = [(await stream.read()).chain.completeness.open_gap_count for _ in range(3)]
        assert counts == [0, 1, 0]


async def test_what_was_open_when_the_collector_died_ends_with_the_next_chain(collecting: Collecting, feed) -> None:
    async with collecting(feed, backfill_enabled=False) as served:
        feed.give(small_chain("NIFTY", 0), interruption(0, None))
        [first] = await changes(served, 1)
    again = ScriptedFeed("NIFTY", "SENSEX")
    async with collecting(again, backfill_enabled=False, market_hours="recorded") as served:
        again.give(small_chain("NIFTY", 9))
        found = await changes(served, 2)
        ended = [each.gap for each in found if each.gap.gap_id == first.gap.gap_id][-1]
        assert ended.end_time == to_timestamp(OPENING + 9 * MINUTE)


async def test_an_ended_gap_is_filled_from_the_feeds_history_once(collecting: Collecting, feed: ScriptedFeed) -> None:
    feed.remembered = [small_chain("NIFTY", minute) for minute in (1, 2, 3)]
    async with collecting(feed) as served:
        feed.give(small_chain("NIFTY", 0), interruption(0, None), interruption(0, 4), small_chain("NIFTY", 4))
        found = await changes(served, 3)
        assert found[-1].gap.repair == gap_pb2.GAP_REPAIR_BACKFILLED
        assert found[-1].gap.backfilled_chain_count == 3
        [lane] = (await served.stub.ListLanes(pb.ListLanesRequest())).lanes
        assert (lane.kind, lane.last_sequence) == (pb.LANE_KIND_BACKFILL, 3)
        request = pb.ReadLaneRequest(index="NIFTY", epoch=lane.epoch)
        filled = [response.chain async for response in served.stub.ReadLane(request)]
        assert all(chain.quality & 64 for chain in filled)  # BACKFILLED
    again = ScriptedFeed("NIFTY", "SENSEX")
    again.remembered = feed.remembered
    async with collecting(again) as served:
        assert len(await changes(served, 3)) == 3
        assert [
            each.last_sequence
            for each in (await served.stub.ListLanes(pb.ListLanesRequest())).lanes
            if each.kind == pb.LANE_KIND_BACKFILL
        ] == [3]


async def test_a_gap_without_history_is_said_to_have_none(collecting: Collecting, feed: ScriptedFeed) -> None:
    async with collecting(feed) as served:
        feed.give(small_chain("NIFTY", 0), interruption(0, None), interruption(0, 4), small_chain("NIFTY", 4))
        found = await changes(served, 3)
        assert found[-1].gap.repair == gap_pb2.GAP_REPAIR_UNAVAILABLE


async def test_a_position_of_another_ledger_is_refused(collecting: Collecting, feed: ScriptedFeed) -> None:
    async with collecting(feed) as served:
        for request in (pb.WatchGapsRequest(ledger_id="other"), pb.WatchGapsRequest(resume_after_change=5)):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await served.stub.WatchGaps(request, timeout=10).read()
            assert reason_of(caught.value) == "SEQUENCE_AHEAD"


async def test_an_empty_chain_is_no_silence(collecting: Collecting, feed: ScriptedFeed) -> None:
    async with collecting(feed, backfill_enabled=False) as served:
        feed.give(replace(small_chain("NIFTY", 0), expiries=()), small_chain("NIFTY", 1))
        found = await changes(served, 2)
        assert [each.gap.cause for each in found] == [gap_pb2.GAP_CAUSE_FEED_ERROR] * 2
        assert found[-1].gap.HasField("end_time")
        stream = served.watch_all()
        assert (await stream.read()).chain.quality & 32  # INCOMPLETE
