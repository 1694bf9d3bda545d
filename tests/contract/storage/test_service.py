from __future__ import annotations

from collections.abc import Sequence

import grpc
import pytest
from pydantic import SecretStr

from optrading.collection.feeds.replay import open_recording
from optrading.common.channels import open_channel
from optrading.common.clock import SystemClock
from optrading.common.errors import reason_of
from optrading.common.outbox import Outbox
from optrading.common.settings import ServiceSettings
from optrading.local.authority import ensure_certificates
from optrading.market.chain import Chain, Position
from optrading.market.codec import encode_chain
from optrading.storage.service import run_storage
from optrading.storage.settings import StorageSettings
from optrading.storage.v1 import storage_service_pb2 as pb
from optrading.storage.v1.storage_service_pb2_grpc import StorageServiceStub
from optrading.testing.recordings import synthetic_chains
from optrading.testing.scripted_collection import scripted_collection
from tests.chains import small_message
from tests.contract.storage.conftest import until


async def test_storage_pulls_and_serves_over_mutual_tls_and_only_those_that_may(tmp_path):
    ensure_certificates(tmp_path / "tls", "optrading.local")
    common = {"home": tmp_path, "drain_s": 0}
    async with scripted_collection(ServiceSettings(**common)) as collection:
        await collection.publish(small_message(Position(7, 1)))
        address = f"127.0.0.1:{collection.port}"
        settings = StorageSettings(**common, listen_address="127.0.0.1:0", collection_address=address)
        async with run_storage(settings, SystemClock()) as running:
            await collection.wait_acknowledged("NIFTY", Position(7, 1))
            client = ServiceSettings(**common, storage_address=f"127.0.0.1:{running.port}")
            async with open_channel(client, "gateway", "storage") as channel:
                answer = await StorageServiceStub(channel).GetChain(pb.GetChainRequest(index="NIFTY"))
                assert answer.chain == small_message(Position(7, 1))
            async with open_channel(client, "identity", "storage") as channel:
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await StorageServiceStub(channel).GetChain(pb.GetChainRequest(index="NIFTY"))
                assert reason_of(caught.value) == "CALLER_NOT_ALLOWED"


async def test_notices_wait_for_a_redis_that_is_away_and_do_not_hold_up_storing(collection, start_storage):
    await collection.publish(small_message(Position(7, 1)), small_message(Position(7, 2)))
    async with start_storage(redis_url=SecretStr("redis://127.0.0.1:1")) as asked:
        await collection.wait_acknowledged("NIFTY", Position(7, 2))
        waiting = Outbox(asked.running.connection, enabled=True).pending(10)
        assert [each.event.event_id for each in waiting] == ["legs_stored/NIFTY/7/1", "legs_stored/NIFTY/7/2"]


async def test_chains_are_sealed_at_every_interval(collection, start_storage):
    await collection.publish(small_message(Position(7, 1)))
    async with start_storage(roll_interval_s=0.05) as asked:
        for sequence in (2, 3):
            await until(lambda: asked.running.history.of("NIFTY").files)
            await collection.publish(small_message(Position(7, sequence)))
        await until(lambda: asked.running.history.of("NIFTY").files[-1].last_sequence == 3)
    await collection.publish(small_message(Position(7, 4)))
    async with start_storage(roll_interval_s=3600) as asked:
        await collection.wait_acknowledged("NIFTY", Position(7, 4))
        assert [chain.position.sequence for chain in asked.running.history.of("NIFTY").tail] == [4]


async def check_day(collection, start_storage, chains: Sequence[Chain]) -> None:
    """Store `chains` and read them before a seal, after it, and after a restart."""
    index = chains[0].index
    messages = [encode_chain(chain, Position(7, n)) for n, chain in enumerate(chains, 1)]
    # Compared as bytes, in which NaN equals itself and -0.0 is not 0.0.
    wanted = [message.SerializeToString(deterministic=True) for message in messages]

    async def found():
        answers = asked.stub.ReadChains(pb.ReadChainsRequest(index=index))
        return [r.chain.SerializeToString(deterministic=True) async for r in answers]

    await collection.publish(*messages)
    async with start_storage() as asked:
        await collection.wait_acknowledged(index, Position(7, len(chains)), timeout_s=60)
        assert await found() == wanted
        await asked.running.roller.roll(index)
        assert await found() == wanted
    async with start_storage() as asked:
        history = asked.running.history.of(index)
        assert (history.tail, len(history.files)) == ((), 1)
        assert await found() == wanted
        watermarks = (await asked.stub.ListWatermarks(pb.ListWatermarksRequest())).watermarks
        [watermark] = [each for each in watermarks if each.index == index]
        legs = sum(chain.leg_count() for chain in chains)
        assert (watermark.chain_count, watermark.leg_count) == (len(chains), legs)


async def test_a_synthetic_day_comes_back_value_by_value(collection, start_storage):
    await check_day(collection, start_storage, synthetic_chains(index="SENSEX", minutes=20))


async def test_the_recorded_day_comes_back_value_by_value(collection, start_storage, real_data):
    recording = open_recording(real_data / "intraday_nifty" / "option_chain_20260818.parquet")
    chains = [recording.chain(n, recording.event_time(n), "replay") for n in range(len(recording))]
    assert sum(chain.leg_count() for chain in chains) == 153_990
    await check_day(collection, start_storage, chains)
