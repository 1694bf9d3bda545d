from __future__ import annotations

import math
from dataclasses import replace

import grpc
import pytest

from optrading.collection.v1 import collection_service_pb2 as pb
from optrading.common.errors import reason_of
from optrading.market.codec import from_timestamp
from optrading.testing.clock import ManualClock
from optrading.testing.scripted_feed import ScriptedFeed
from tests.chains import OPENING, small_chain
from tests.contract.collection.conftest import Collecting, Served

pytestmark = pytest.mark.timeout(30)


async def refused(served: Served, **fields: str) -> tuple[grpc.StatusCode, str, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await served.stub.GetChain(pb.GetChainRequest(**fields), timeout=10)
    return caught.value.code(), reason_of(caught.value), caught.value.details() or ""


async def test_indices_are_listed_before_and_after_their_first_chain(
    collecting: Collecting, feed: ScriptedFeed, clock: ManualClock
) -> None:
    async with collecting(feed) as served:
        nothing, *_ = (await served.stub.ListIndices(pb.ListIndicesRequest(), timeout=10)).indices
        assert (nothing.index, nothing.source) == ("NIFTY", "synthetic")
        assert (nothing.latest_epoch, nothing.latest_sequence) == (0, 0)
        assert not nothing.HasField("event_time")
        assert not nothing.HasField("clock_time")
        assert math.isnan(nothing.spot_inr)
        feed.give(small_chain("NIFTY", 0), small_chain("NIFTY", 1))
        await served.until_shown("NIFTY", 2)
        nifty, sensex = (await served.stub.ListIndices(pb.ListIndicesRequest(), timeout=10)).indices
    assert (nifty.index, sensex.index) == ("NIFTY", "SENSEX")
    assert (nifty.latest_epoch, nifty.latest_sequence) == (served.running.pipeline.epoch, 2)
    assert from_timestamp(nifty.event_time) == small_chain("NIFTY", 1).event_time
    assert from_timestamp(nifty.clock_time) == clock.now()
    assert nifty.spot_inr == small_chain("NIFTY", 1).spot_inr
    assert nifty.source == "synthetic"
    assert not nifty.finished
    assert [(e.expiry, list(e.buckets), e.lot_size, e.strike_count) for e in nifty.expiries] == [
        ("2026-08-18", ["this_week"], 65, 3),
        ("2026-08-25", ["next_week", "this_month"], 65, 3),
    ]


async def test_when_a_recording_ends_its_present_stands_still_and_the_last_chain_stays(collecting: Collecting) -> None:
    feed = ScriptedFeed("NIFTY", name="replay")
    async with collecting(feed, market_hours="recorded") as served:
        feed.give(small_chain())
        feed.end()
        watch = served.watch()
        await served.until_shown("NIFTY", 1)
        while not served.running.pipeline.finished:
            await watch.read()
        (listing,) = (await served.stub.ListIndices(pb.ListIndicesRequest(), timeout=10)).indices
        chain = (await served.stub.GetChain(pb.GetChainRequest(index="NIFTY"), timeout=10)).chain
        watch.cancel()
    assert listing.finished
    assert from_timestamp(listing.clock_time) == OPENING
    assert chain.sequence == 1


async def test_what_only_an_earlier_feed_had_is_listed_as_finished(collecting: Collecting) -> None:
    earlier = ScriptedFeed("SENSEX")
    async with collecting(earlier) as served:
        earlier.give(small_chain("SENSEX"))
        await served.until_shown("SENSEX", 1)
    async with collecting(ScriptedFeed("NIFTY")) as served:
        listings = (await served.stub.ListIndices(pb.ListIndicesRequest(), timeout=10)).indices
    assert [(each.index, each.latest_sequence, each.finished) for each in listings] == [
        ("NIFTY", 0, False),
        ("SENSEX", 1, True),
    ]


async def test_the_newest_chain_comes_whole_or_cut_to_a_bucket_or_an_expiry(
    collecting: Collecting, feed: ScriptedFeed
) -> None:
    async with collecting(feed) as served:
        feed.give(small_chain("NIFTY", 0), small_chain("NIFTY", 5))
        await served.until_shown("NIFTY", 2)
        answers = {}
        for fields in ({}, {"bucket": "this_week"}, {"bucket": "this_month"}, {"expiry": "2026-08-25"}):
            request = pb.GetChainRequest(index="NIFTY", **fields)
            answers[str(fields)] = (await served.stub.GetChain(request, timeout=10)).chain
    whole, this_week, this_month, expiry = answers.values()
    assert [each.expiry for each in whole.expiries] == ["2026-08-18", "2026-08-25"]
    assert [each.expiry for each in this_week.expiries] == ["2026-08-18"]
    assert this_month == expiry
    assert expiry.expiries[0] == whole.expiries[1]
    assert whole.sequence == this_week.sequence == 2
    assert list(whole.expiries[0].call.last_inr) == small_chain("NIFTY", 5).expiries[0].call.last_inr.tolist()


async def test_every_wrong_question_is_told_what_would_be_right(collecting: Collecting, feed: ScriptedFeed) -> None:
    async with collecting(feed) as served:
        feed.give(small_chain("NIFTY", 0))
        await served.until_shown("NIFTY", 1)
        invalid, absent = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND
        for fields, code, reason, allowed in (
            ({"index": "DAX"}, absent, "UNKNOWN_INDEX", "NIFTY, SENSEX"),
            ({"index": ""}, absent, "UNKNOWN_INDEX", "NIFTY, SENSEX"),
            ({"index": "NIFTY", "bucket": "week"}, invalid, "UNKNOWN_BUCKET", "this_week, next_week"),
            ({"index": "NIFTY", "bucket": "next_month"}, absent, "NO_MONTHLY_EXPIRY", "2026-08-18, 2026-08-25"),
            ({"index": "NIFTY", "expiry": "25-08-2026"}, invalid, "INVALID_EXPIRY", "2026-08-25"),
            ({"index": "NIFTY", "expiry": "2026-08-26"}, absent, "UNKNOWN_EXPIRY", "2026-08-18, 2026-08-25"),
            (
                {"index": "NIFTY", "expiry": "2026-08-25", "bucket": "this_week"},
                invalid,
                "BUCKET_AND_EXPIRY",
                "not both",
            ),
            ({"index": "SENSEX"}, grpc.StatusCode.UNAVAILABLE, "NO_CHAIN_YET", "no chain yet"),
            ({"index": "SENSEX", "bucket": "week"}, invalid, "UNKNOWN_BUCKET", "this_week"),
        ):
            found = await refused(served, **fields)
            assert found[:2] == (code, reason), fields
            assert allowed in found[2], fields


async def test_an_index_without_weeklies_says_so_and_names_its_expiries(collecting: Collecting) -> None:
    feed = ScriptedFeed("BANKNIFTY")
    month_earlier = small_chain("BANKNIFTY", -30 * 24 * 60)
    async with collecting(feed) as served:
        feed.give(replace(month_earlier, expiries=month_earlier.expiries[1:]))
        await served.until_shown("BANKNIFTY", 1)
        code, reason, message = await refused(served, index="BANKNIFTY", bucket="this_week")
    assert (code, reason) == (grpc.StatusCode.NOT_FOUND, "NO_WEEKLY_EXPIRY")
    assert "listed: 2026-08-25" in message
