"""`kill -9` in the middle of a fast replay: afterwards what is stored equals what was recorded.

At full length (`make soak`) the kills are many, of random services at random moments, from a seed that is printed.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from optrading.analytics.v1 import analytics_service_pb2 as analytics_pb
from optrading.cli.client import CallError, GatewayClient
from optrading.collection.v1 import collection_service_pb2 as collection_pb
from optrading.common.bus import stream_of
from optrading.local.mesh import Mesh
from optrading.local.options import MeshOptions
from optrading.market.chain import Chain
from optrading.market.v1.chain_pb2 import ChainSnapshot
from optrading.storage.v1 import storage_service_pb2 as storage_pb
from optrading.testing.recordings import write_recording
from tests.faults.history import faults_of

SOAK = bool(os.environ.get("OPTRADING_SOAK"))
SEED = int(os.environ.get("OPTRADING_SEED", "20260818"))
INDICES = ["NIFTY", "SENSEX"]
MINUTES, SPEED = (3000, "300") if SOAK else (200, "300")
KILLS = 60 if SOAK else 3
"""A recorded minute takes a fifth of a second: the short replay 40 s, the long one 10 minutes."""

Recorded = dict[str, list[Chain]]


@pytest.fixture
def recorded(tmp_path: Path) -> Recorded:
    chains = write_recording(tmp_path / "day.parquet", index=INDICES, minutes=MINUTES, seed=SEED, strikes=15)
    return {index: [chain for chain in chains if chain.index == index] for index in INDICES}


@pytest.fixture
async def mesh(tmp_path: Path, recorded: Recorded) -> AsyncIterator[Mesh]:
    options = MeshOptions(
        home=tmp_path / "var", feed="replay", recording=tmp_path / "day.parquet", speed=SPEED, http_port=0
    )
    async with Mesh(options) as running:
        await running.wait_ready()
        yield running


def victims() -> list[str]:
    if not SOAK:
        return ["storage", "analytics", "collection"]
    return random.Random(SEED).choices(["storage", "analytics", "collection"], k=KILLS)


@pytest.mark.timeout(3600 if SOAK else 240)
async def test_killed_services_lose_nothing_repeat_nothing_and_leave_no_gap(mesh: Mesh, recorded: Recorded) -> None:
    async with GatewayClient(mesh.credentials) as client:
        for victim in victims():
            assert not await finished(client), f"the replay was over before {victim} was killed; make it longer"
            await mesh.wait_restarted(victim, mesh.kill(victim))
        await until_everything_is_stored(client, recorded)
        for index in INDICES:
            stored = await read_all(client, index)
            assert faults_of(stored, recorded[index]) == []
            await until_analysed(client, index, stored[-1])
            positions = {(chain.epoch, chain.sequence) for chain in stored}
            for event_type in ("legs_collected", "legs_stored", "analytics_computed"):
                await until_noticed(mesh, event_type, index, positions)
        assert all(mesh.restarts[victim] >= 1 for victim in victims())


async def finished(client: GatewayClient) -> bool:
    answer = await asked(client.collection.ListIndices, collection_pb.ListIndicesRequest(), client)
    return any(listing.finished for listing in answer.indices)


async def asked(method, request, client: GatewayClient):
    """Ask until there is an answer: services that were just killed are away for a moment."""
    while True:
        try:
            return await client.call(method, request)
        except CallError as error:
            if error.code.name != "UNAVAILABLE":
                raise
            await asyncio.sleep(0.05)


async def until_everything_is_stored(client: GatewayClient, recorded: Recorded) -> None:
    wanted = {index: len(chains) for index, chains in recorded.items()}
    stored: dict[str, int] = {}
    while any(stored.get(index, 0) < count for index, count in wanted.items()):
        answer = await asked(client.storage.ListWatermarks, storage_pb.ListWatermarksRequest(), client)
        stored = {mark.index: mark.chain_count for mark in answer.watermarks}
        await asyncio.sleep(0.05)
    # Counted over all epochs: a chain stored twice would show here.
    assert stored == wanted


async def read_all(client: GatewayClient, index: str) -> list[ChainSnapshot]:
    answers = client.stream(client.storage.ReadChains, storage_pb.ReadChainsRequest(index=index))
    return [answer.chain async for answer in answers]


async def until_analysed(client: GatewayClient, index: str, last: ChainSnapshot) -> None:
    request = analytics_pb.GetSummaryRequest(index=index)
    while True:
        answer = await asked(client.analytics.GetSummary, request, client)
        if (answer.epoch, answer.sequence) == (last.epoch, last.sequence):
            return
        await asyncio.sleep(0.05)


async def until_noticed(mesh: Mesh, event_type: str, index: str, positions: set[tuple[int, int]]) -> None:
    """Return when the bus told of every position; a notice may come after what it tells of, and more than once."""
    async with Redis.from_url(mesh.redis_url, decode_responses=True) as redis:
        while True:
            entries = await redis.xrange(stream_of(event_type))
            names = [fields["event_id"].split("/") for _, fields in entries]
            if {(int(epoch), int(sequence)) for _, name, epoch, sequence in names if name == index} >= positions:
                return
            await asyncio.sleep(0.1)
