from __future__ import annotations

import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from structlog.testing import capture_logs

from optrading.collection.v1 import collection_service_pb2 as collection_pb
from optrading.common.errors import FailedPrecondition, Unavailable
from optrading.common.settings import MeshTls, ServiceSettings
from optrading.common.state import StateError
from optrading.market.chain import Position
from optrading.market.codec import position_of
from optrading.market.v1 import chain_pb2
from optrading.storage.v1 import storage_service_pb2 as pb
from optrading.testing.scripted_collection import (
    ScriptedCollection,
    chain_step,
    heartbeat_step,
    scripted_collection,
)
from tests.chains import small_message
from tests.contract.storage.conftest import Asked, StartStorage, until


def at(sequence: int, epoch: int = 7) -> Position:
    return Position(epoch, sequence)


def chain(sequence: int, epoch: int = 7, index: str = "NIFTY") -> chain_pb2.ChainSnapshot:
    return small_message(at(sequence, epoch), index)


def steps(*sequences: int, epoch: int = 7) -> list[collection_pb.WatchChainsResponse]:
    return [chain_step(chain(sequence, epoch)) for sequence in sequences]


async def stored(asked: Asked, index: str = "NIFTY") -> list[Position]:
    """The positions that can be read, in the order of event time."""
    return [position_of(r.chain) async for r in asked.stub.ReadChains(pb.ReadChainsRequest(index=index))]


def resumed_after(request: collection_pb.WatchChainsRequest) -> Position | None:
    if not request.HasField("resume_after_sequence"):
        return None
    return Position(request.resume_after_epoch, request.resume_after_sequence)


def found(logs: list, event: str) -> list:
    return [entry for entry in logs if entry["event"] == event]


async def test_every_chain_of_every_index_is_stored_and_acknowledged(collection, start_storage: StartStorage):
    await collection.publish(*(chain(s) for s in range(1, 101)), *(chain(s, index="SENSEX") for s in range(1, 4)))
    async with start_storage() as asked:
        await collection.wait_acknowledged("NIFTY", at(100))
        await collection.wait_acknowledged("SENSEX", at(3))
        assert await stored(asked) == [at(s) for s in range(1, 101)]
        assert await stored(asked, "SENSEX") == [at(s) for s in range(1, 4)]
        await collection.publish(chain(101))
        await collection.wait_acknowledged("NIFTY", at(101))
    [request] = [watch for watch in collection.watches if watch.index == "NIFTY"]
    assert request.delivery == chain_pb2.DELIVERY_LOSSLESS
    assert resumed_after(request) is None


async def test_a_restarted_storage_resumes_after_its_watermark_and_acknowledges_it_again(collection, start_storage):
    await collection.publish(*(chain(s) for s in range(1, 6)))
    async with start_storage():
        await collection.wait_acknowledged("NIFTY", at(5))
    collection.acknowledged.clear()
    async with start_storage() as asked:
        await collection.wait_acknowledged("NIFTY", at(5))
        await collection.publish(chain(6))
        await collection.wait_acknowledged("NIFTY", at(6))
        assert await stored(asked) == [at(s) for s in range(1, 7)]
    assert resumed_after(collection.watches[-1]) == at(5)


async def test_a_repeated_chain_is_acknowledged_again_and_not_stored_again(collection, start_storage):
    collection.script_watch("NIFTY", steps(1, 2, 2, 1, 3))
    async with start_storage() as asked:
        await collection.wait_acknowledged("NIFTY", at(3))
        assert await stored(asked) == [at(1), at(2), at(3)]
        [watermark] = (await asked.stub.ListWatermarks(pb.ListWatermarksRequest())).watermarks
        assert (watermark.chain_count, watermark.leg_count) == (3, 36)


async def test_chains_out_of_order_are_put_in_order(collection, start_storage):
    collection.script_watch("NIFTY", steps(1, 4, 3, 2, 5))
    async with start_storage() as asked:
        await collection.wait_acknowledged("NIFTY", at(5))
        assert await stored(asked) == [at(s) for s in range(1, 6)]
    assert len(collection.watches) == 1


async def test_a_missing_chain_is_asked_for_again_from_the_watermark(collection, start_storage):
    await collection.publish(*(chain(s) for s in range(1, 6)))
    collection.script_watch("NIFTY", steps(1, 2, 4, 5))
    async with start_storage() as asked:
        await collection.wait_acknowledged("NIFTY", at(5))
        assert await stored(asked) == [at(s) for s in range(1, 6)]
    assert [resumed_after(request) for request in collection.watches] == [None, at(2)]


async def test_no_more_than_the_bound_is_held_while_a_chain_is_missing(collection, start_storage):
    await collection.publish(*(chain(s) for s in range(1, 60)))
    collection.script_watch("NIFTY", steps(1, *range(3, 60)))
    async with start_storage(reorder_chains=4, reorder_wait_s=60) as asked:
        await collection.wait_acknowledged("NIFTY", at(59))
        assert await stored(asked) == [at(s) for s in range(1, 60)]
    assert [resumed_after(request) for request in collection.watches] == [None, at(1)]


async def test_a_chain_that_collection_lacks_however_often_it_is_asked_becomes_a_named_gap(collection, start_storage):
    collection.script_watch("NIFTY", [*steps(1, 2), Unavailable("restarting")])
    for _ in range(4):
        collection.script_watch("NIFTY", steps(4, 5))
    await collection.publish(chain(1), chain(2), chain(4), chain(5), chain(6))
    with capture_logs() as logs:
        async with start_storage() as asked:
            await collection.wait_acknowledged("NIFTY", at(2))
            await collection.wait_acknowledged("NIFTY", at(5))
            assert await stored(asked) == [at(1), at(2), at(4), at(5)]
    [gap] = found(logs, "history_gap_found")
    assert (gap["after"], gap["before"]) == (at(2), at(4))


async def test_a_new_epoch_goes_on_with_its_first_chain(collection, start_storage):
    await collection.publish(chain(1), chain(2), chain(1, epoch=9), chain(2, epoch=9))
    async with start_storage() as asked:
        await collection.wait_acknowledged("NIFTY", at(2, 9))
        [watermark] = (await asked.stub.ListWatermarks(pb.ListWatermarksRequest())).watermarks
        assert (watermark.epoch, watermark.sequence, watermark.chain_count) == (9, 2, 4)
        # Both epochs have chains of the same instants: the newer one is shown.
        assert await stored(asked) == [at(1, 9), at(2, 9)]


async def test_a_new_epoch_does_not_begin_while_the_old_one_is_known_to_have_more(collection, start_storage):
    await collection.publish(*(chain(s) for s in range(1, 5)), chain(1, epoch=9))
    collection.script_watch("NIFTY", [*steps(1, 2), heartbeat_step(at(4)), *steps(1, epoch=9)])
    async with start_storage() as asked:
        await collection.wait_acknowledged("NIFTY", at(1, 9))
        [watermark] = (await asked.stub.ListWatermarks(pb.ListWatermarksRequest())).watermarks
        assert watermark.chain_count == 5
    assert [resumed_after(request) for request in collection.watches] == [None, at(2)]


async def test_an_older_epoch_is_refused_and_told_of_the_newer_one(collection, start_storage):
    await collection.publish(chain(1, epoch=9))
    async with start_storage():
        await collection.wait_acknowledged("NIFTY", at(1, 9))
    collection.acknowledgements.clear()
    collection.script_watch("NIFTY", steps(2, 3, epoch=8))
    with capture_logs() as logs:
        async with start_storage() as asked:
            await collection.wait_watches(3)
            assert await stored(asked) == [at(1, 9)]
    assert found(logs, "stale_epoch_refused")[0]["position"] == at(2, 8)
    assert set(collection.acknowledgements["NIFTY"]) == {at(1, 9)}


async def test_heartbeats_that_tell_of_more_than_was_received_make_storage_ask_again(collection, start_storage):
    await collection.publish(chain(1), chain(2))
    collection.script_watch("NIFTY", [*steps(1), heartbeat_step(at(2)), heartbeat_step(at(2))])
    async with start_storage() as asked:
        await collection.wait_acknowledged("NIFTY", at(2))
        assert await stored(asked) == [at(1), at(2)]


async def test_what_collection_no_longer_keeps_is_a_named_gap_and_the_oldest_kept_comes_next(collection, start_storage):
    await collection.publish(*(chain(s) for s in range(1, 4)))
    async with start_storage():
        await collection.wait_acknowledged("NIFTY", at(3))
    await collection.publish(*(chain(s) for s in range(4, 10)))
    await collection.trim("NIFTY", at(7))
    with capture_logs() as logs:
        async with start_storage() as asked:
            await collection.wait_acknowledged("NIFTY", at(9))
            assert await stored(asked) == [at(s) for s in (1, 2, 3, 8, 9)]
    [gap] = found(logs, "history_gap_found")
    assert (gap["log_level"], gap["after"], gap["before"]) == ("error", at(3), at(8))


async def test_a_stream_that_ends_by_age_goes_on_without_a_gap(collection, start_storage):
    ended = Unavailable("old", reason="STREAM_AGE_REACHED")
    collection.script_watch("NIFTY", [*steps(1, 2), ended])
    collection.script_watch("NIFTY", [*steps(3), ended])
    await collection.publish(*(chain(s) for s in range(1, 5)))
    async with start_storage() as asked:
        await collection.wait_acknowledged("NIFTY", at(4))
        assert await stored(asked) == [at(s) for s in range(1, 5)]
    assert [resumed_after(request) for request in collection.watches] == [None, at(2), at(3)]


async def test_a_chain_that_cannot_be_decoded_does_not_hold_up_those_after_it(collection, start_storage):
    bad = chain(2)
    bad.expiries[0].call.last_inr.pop()
    await collection.publish(chain(1), bad, chain(3))
    with capture_logs() as logs:
        async with start_storage() as asked:
            await collection.wait_acknowledged("NIFTY", at(3))
            assert await stored(asked) == [at(1), at(3)]
    assert found(logs, "chain_set_aside")[0]["position"] == at(2)


async def test_an_acknowledgement_that_fails_is_said_again(collection, start_storage):
    collection.refuse_acknowledgement("NIFTY", Unavailable("busy"))
    collection.refuse_acknowledgement("NIFTY", Unavailable("busy"))
    await collection.publish(chain(1))
    async with start_storage():
        await collection.wait_acknowledged("NIFTY", at(1))


async def test_a_collector_that_was_superseded_does_not_stop_storage(collection, start_storage):
    collection.refuse_acknowledgement("NIFTY", FailedPrecondition("lost", reason="EPOCH_SUPERSEDED"))
    await collection.publish(chain(1))
    async with start_storage() as asked:
        await collection.wait_refused("NIFTY")
        await collection.publish(chain(2))
        await collection.wait_acknowledged("NIFTY", at(2))
        assert await stored(asked) == [at(1), at(2)]


async def test_an_index_that_appears_later_is_followed_too(collection, start_storage):
    async with start_storage() as asked:
        await collection.wait_watches(1)
        await collection.publish(chain(1, index="BANKEX"))
        await collection.wait_acknowledged("BANKEX", at(1))
        assert await stored(asked, "BANKEX") == [at(1)]


async def test_an_index_whose_name_could_be_a_path_is_refused(collection, start_storage):
    await collection.publish(chain(1, index="../NIFTY"), chain(1))
    with capture_logs() as logs:
        async with start_storage():
            await collection.wait_acknowledged("NIFTY", at(1))
    assert [entry["index"] for entry in found(logs, "index_refused")] == ["../NIFTY"]
    assert {request.index for request in collection.watches} == {"NIFTY"}


async def test_storage_serves_without_collection_and_pulls_once_it_is_there(start_storage, collection):
    settings = ServiceSettings(mesh_tls=MeshTls.SIDECAR, drain_s=0)
    async with scripted_collection(settings) as first:
        address = f"127.0.0.1:{first.port}"
    async with start_storage(collection_address=address) as asked:
        assert list((await asked.stub.ListWatermarks(pb.ListWatermarksRequest())).watermarks) == []
        later = ScriptedCollection()
        at_last = ServiceSettings(mesh_tls=MeshTls.SIDECAR, listen_address=address, drain_s=0)
        async with scripted_collection(at_last, later):
            await later.publish(chain(1))
            await later.wait_acknowledged("NIFTY", at(1))
        async with scripted_collection(at_last, later):
            await later.publish(chain(2))
            await later.wait_acknowledged("NIFTY", at(2))
            assert await stored(asked) == [at(1), at(2)]


async def test_a_disk_that_is_full_for_a_while_loses_nothing_and_reads_stay_up(collection, start_storage):
    await collection.publish(chain(1))
    async with start_storage() as asked:
        await collection.wait_acknowledged("NIFTY", at(1))
        pages = asked.running.connection.execute("PRAGMA page_count").fetchone()[0]
        asked.running.connection.execute(f"PRAGMA max_page_count = {pages}")
        with capture_logs() as logs:
            await collection.publish(*(chain(s) for s in range(2, 60)))
            await until(lambda: found(logs, "commit_failed"))
        assert at(1) in await stored(asked)
        assert await stored(asked) != [at(s) for s in range(1, 60)]
        asked.running.connection.execute(f"PRAGMA max_page_count = {1_000 * pages}")
        await collection.wait_acknowledged("NIFTY", at(59))
        assert await stored(asked) == [at(s) for s in range(1, 60)]


async def test_sealed_files_appear_by_themselves_and_answers_stay_the_same(collection, start_storage, tmp_path):
    await collection.publish(*(chain(s) for s in range(1, 11)))
    async with start_storage(roll_rows=20) as asked:
        await collection.wait_acknowledged("NIFTY", at(10))
        await until(lambda: asked.running.history.of("NIFTY").files)
        assert await stored(asked) == [at(s) for s in range(1, 11)]
    assert list((tmp_path / "storage" / "chains" / "index=NIFTY" / "date=2026-08-18").glob("*.parquet"))


async def test_a_second_storage_on_the_same_state_is_refused(collection, start_storage):
    async with start_storage():
        with pytest.raises(StateError, match="belongs to another running process"):
            async with start_storage():
                pass


async def test_health_says_serving_whether_or_not_collection_is_there(start_storage):
    async with start_storage(collection_address="127.0.0.1:1") as asked:
        stub = health_pb2_grpc.HealthStub(asked.channel)
        answer = await stub.Check(health_pb2.HealthCheckRequest(service="optrading.storage.v1.StorageService"))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
