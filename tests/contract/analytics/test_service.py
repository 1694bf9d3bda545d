from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest

from optrading.analytics.service import RunningAnalytics, run_analytics
from optrading.analytics.settings import AnalyticsSettings
from optrading.analytics.v1 import analytics_service_pb2 as pb
from optrading.analytics.v1 import analytics_service_pb2_grpc as pb_grpc
from optrading.collection.service import run_collection
from optrading.collection.settings import CollectionSettings
from optrading.common.channels import open_channel
from optrading.common.database import open_database
from optrading.common.errors import NotFound, OutOfRange, Unavailable, reason_of
from optrading.common.journal import Journal
from optrading.common.settings import MeshTls, ServiceSettings
from optrading.market.chain import Position
from optrading.testing.clock import ManualClock
from optrading.testing.scripted_collection import ScriptedCollection, chain_step, scripted_collection
from optrading.testing.scripted_feed import ScriptedFeed
from tests.chains import small_chain, small_message

pytestmark = pytest.mark.timeout(60)  # a collection that is away is tried again after up to two seconds

EPOCH = 7


@dataclass
class Served:
    running: RunningAnalytics
    stub: Any

    async def until_shown(self, sequence: int, *, index: str = "NIFTY", epoch: int = EPOCH) -> None:
        while index not in self.running.board.indices:  # noqa: ASYNC110  # it is known once it is listed by collection
            await asyncio.sleep(0.005)
        await self.running.board.wait_after(index, Position(epoch, sequence - 1))

    async def greeks(self, **fields: str) -> pb.AnalyticsSnapshot:
        return (await self.stub.GetGreeks(pb.GetGreeksRequest(**fields), timeout=10)).analytics

    def watch(self, **fields: str) -> Any:
        return self.stub.WatchAnalytics(pb.WatchAnalyticsRequest(**fields), timeout=20)


Analysing = Callable[..., AbstractAsyncContextManager[Served]]


@pytest.fixture
async def channels() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture
def analysing(tmp_path: Path, channels: AsyncExitStack) -> Analysing:
    """Serve analytics of the collection at a port, from this test's folder; called again, it is a restart."""

    @asynccontextmanager
    async def start(collection_port: int, **changes: Any) -> AsyncIterator[Served]:
        settings = AnalyticsSettings(
            **{
                "home": tmp_path,
                "listen_address": "127.0.0.1:0",
                "mesh_tls": MeshTls.SIDECAR,
                "collection_address": f"127.0.0.1:{collection_port}",
                "drain_s": 0.0,
                **changes,
            }
        )
        async with run_analytics(settings, ManualClock()) as running:
            client = settings.model_copy(update={"analytics_address": f"127.0.0.1:{running.port}"})
            channel = await channels.enter_async_context(open_channel(client, "gateway", "analytics"))
            yield Served(running, pb_grpc.AnalyticsServiceStub(channel))

    return start


@pytest.fixture
async def collection() -> AsyncIterator[ScriptedCollection]:
    settings = ServiceSettings(mesh_tls=MeshTls.SIDECAR, drain_s=0)
    async with scripted_collection(settings, ScriptedCollection(["NIFTY", "SENSEX"])) as scripted:
        yield scripted


def messages(first: int, last: int, epoch: int = EPOCH) -> list[Any]:
    return [small_message(Position(epoch, n)) for n in range(first, last + 1)]


async def until_done(home: Path, sequence: int) -> None:
    """Return when analytics has noted that it is done up to there, as another connection sees it."""
    path = home / "analytics" / "journal.sqlite"
    with closing(open_database(path, read_only=True)) as connection:
        journal = Journal(connection, create=False)
        while journal.cursor("computed/NIFTY") < (EPOCH, sequence):  # noqa: ASYNC110  # the note is all there is to see
            await asyncio.sleep(0.005)


async def take(call: Any, count: int) -> list[pb.WatchAnalyticsResponse]:
    taken: list[pb.WatchAnalyticsResponse] = []
    while len(taken) < count:
        response = await call.read()
        assert response is not grpc.aio.EOF
        if response.HasField("analytics"):
            taken.append(response)
    return taken


async def failure(call: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        _ = [response async for response in call]
    return caught.value


async def test_chains_of_a_real_collection_are_computed_once_each_in_order(
    tmp_path: Path, analysing: Analysing
) -> None:
    feed, clock = ScriptedFeed("NIFTY"), ManualClock()
    settings = CollectionSettings(
        home=tmp_path, listen_address="127.0.0.1:0", mesh_tls=MeshTls.SIDECAR, active_strike_offsets="all", drain_s=0
    )
    async with run_collection(settings, feed, clock) as collecting, analysing(collecting.port) as served:
        epoch = collecting.pipeline.epoch
        feed.give(*(small_chain("NIFTY", n) for n in range(1, 41)))
        await served.until_shown(40, epoch=epoch)
        assert served.running.board.published("NIFTY") == 40
        found = await served.greeks(index="NIFTY", bucket="this_week")
        watch = served.watch(index="NIFTY", expiry="2026-08-25")
        (streamed,) = await take(watch, 1)
        summary = await served.stub.GetSummary(pb.GetSummaryRequest(index="NIFTY"), timeout=10)
    assert (found.epoch, found.sequence, found.spot_inr) == (epoch, 40, small_chain("NIFTY", 40).spot_inr)
    assert [each.expiry for each in found.expiries] == ["2026-08-18"]
    assert [each.expiry for each in streamed.analytics.expiries] == ["2026-08-25"]
    assert [each.expiry for each in summary.expiries] == ["2026-08-18", "2026-08-25"]
    assert found.summary == streamed.analytics.summary == summary.summary
    assert found.summary.solved_count > 0


async def test_a_restart_computes_the_last_chain_again_and_goes_on_after_it(
    tmp_path: Path, collection: ScriptedCollection, analysing: Analysing
) -> None:
    await collection.publish(*messages(1, 5))
    async with analysing(collection.port):
        await until_done(tmp_path, 5)
    collection.watches.clear()
    async with analysing(collection.port) as served:
        await served.until_shown(5)
        await collection.publish(*messages(6, 7))
        await served.until_shown(7)
        assert served.running.board.published("NIFTY") == 3
    first = next(watch for watch in collection.watches if watch.index == "NIFTY")
    assert (first.resume_after_epoch, first.resume_after_sequence) == (EPOCH, 4)


async def test_what_is_evicted_is_passed_over_for_the_present(
    tmp_path: Path, collection: ScriptedCollection, analysing: Analysing
) -> None:
    await collection.publish(*messages(1, 3))
    async with analysing(collection.port):
        await until_done(tmp_path, 3)
    await collection.publish(*messages(4, 9))
    await collection.trim("NIFTY", Position(EPOCH, 7))
    async with analysing(collection.port) as served:
        await served.until_shown(9)
        assert served.running.board.published("NIFTY") == 2


async def test_a_broken_stream_goes_on_after_the_last_chain_taken(
    collection: ScriptedCollection, analysing: Analysing
) -> None:
    collection.script_watch(
        "NIFTY", [*(chain_step(each) for each in messages(1, 3)), Unavailable("gone", reason="STREAM_AGE_REACHED")]
    )
    collection.script_watch("NIFTY", [NotFound("restarting", reason="UNKNOWN_INDEX")])
    await collection.publish(*messages(1, 6))
    async with analysing(collection.port) as served:
        await served.until_shown(6)
        assert served.running.board.published("NIFTY") == 6  # none twice, none left out
    asked = [watch.resume_after_sequence for watch in collection.watches if watch.index == "NIFTY"]
    assert asked == [0, 3, 3]


async def test_an_index_that_comes_later_is_followed_too(collection: ScriptedCollection, analysing: Analysing) -> None:
    async with analysing(collection.port) as served:
        await collection.wait_watches(2)
        collection.add_index("BANKEX")
        await collection.publish(small_message(Position(EPOCH, 1), "BANKEX"))
        await served.until_shown(1, index="BANKEX")


async def test_without_collection_it_serves_and_says_that_there_is_nothing_yet(
    collection: ScriptedCollection, analysing: Analysing
) -> None:
    async with analysing(1) as served:
        error = await failure(served.watch(index="NIFTY"))
        assert reason_of(error) == "UNKNOWN_INDEX"


async def test_every_wrong_question_is_told_what_would_be_right(
    collection: ScriptedCollection, analysing: Analysing
) -> None:
    await collection.publish(*(_with_buckets(each) for each in messages(1, 1)))
    async with analysing(collection.port) as served:
        await served.until_shown(1)
        for fields, reason, allowed in (
            ({"index": "DAX"}, "UNKNOWN_INDEX", "NIFTY"),
            ({"index": "NIFTY", "bucket": "week"}, "UNKNOWN_BUCKET", "this_week"),
            ({"index": "NIFTY", "bucket": "next_month"}, "NO_MONTHLY_EXPIRY", "2026-08-25"),
            ({"index": "NIFTY", "bucket": "next_week"}, "NO_WEEKLY_EXPIRY", "2026-08-25"),
            ({"index": "NIFTY", "expiry": "soon"}, "INVALID_EXPIRY", "2026-08-25"),
            ({"index": "NIFTY", "expiry": "2026-08-26"}, "UNKNOWN_EXPIRY", "2026-08-25"),
            ({"index": "NIFTY", "expiry": "2026-08-25", "bucket": "this_week"}, "BUCKET_AND_EXPIRY", "not both"),
        ):
            for method, request in (
                (served.stub.GetGreeks, pb.GetGreeksRequest(**fields)),
                (served.stub.GetSummary, pb.GetSummaryRequest(**fields)),
            ):
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await method(request, timeout=10)
                assert reason_of(caught.value) == reason
                assert allowed in str(caught.value.details())
            assert reason_of(await failure(served.watch(**fields))) == reason
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await served.greeks(index="SENSEX")
        assert reason_of(caught.value) == "NO_CHAIN_YET"


def _with_buckets(message: Any) -> Any:
    message.expiries[0].buckets.append("this_week")
    return message


async def test_a_quiet_stream_says_that_it_lives_and_ends_at_its_age(
    collection: ScriptedCollection, analysing: Analysing
) -> None:
    await collection.publish(*messages(1, 2))
    async with analysing(collection.port, heartbeat_interval_s=0.02, stream_max_age_s=0.2) as served:
        await served.until_shown(2)
        watch = served.watch(index="NIFTY")
        assert (await watch.read()).analytics.sequence == 2
        beat = (await watch.read()).heartbeat
        assert (beat.latest_epoch, beat.latest_sequence) == (EPOCH, 2)
        assert reason_of(await failure(watch)) == "STREAM_AGE_REACHED"


async def test_it_stops_at_once_with_open_streams_on_both_sides(
    collection: ScriptedCollection, analysing: Analysing
) -> None:
    await collection.publish(*messages(1, 1))
    async with analysing(collection.port, drain_s=20.0) as served:
        await served.until_shown(1)
        watch = served.watch(index="NIFTY")
        await take(watch, 1)
        ending = asyncio.create_task(failure(watch))
        begun = time.monotonic()
    assert time.monotonic() - begun < 5
    assert (await ending).code() is grpc.StatusCode.UNAVAILABLE


async def test_an_eviction_in_the_middle_of_a_stream_is_survived(
    collection: ScriptedCollection, analysing: Analysing
) -> None:
    collection.script_watch("NIFTY", [chain_step(messages(1, 1)[0]), OutOfRange("too slow", reason="SEQUENCE_EVICTED")])
    await collection.publish(*messages(5, 6))
    async with analysing(collection.port) as served:
        await served.until_shown(6)
        recent = served.running.board.recent_after("NIFTY", Position(EPOCH, 0))
        assert [result.position.sequence for result in recent or []] == [1, 5, 6]
