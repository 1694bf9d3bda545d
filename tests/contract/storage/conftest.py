"""A storage over real gRPC that pulls from a collection under script."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest

from optrading.common.clock import SystemClock
from optrading.common.settings import MeshTls, ServiceSettings
from optrading.storage.service import RunningStorage, run_storage
from optrading.storage.settings import StorageSettings
from optrading.storage.v1.storage_service_pb2_grpc import StorageServiceStub
from optrading.testing.scripted_collection import ScriptedCollection, scripted_collection


@dataclass
class Asked:
    """A running storage and a client of it."""

    running: RunningStorage
    stub: StorageServiceStub
    channel: grpc.aio.Channel


async def until(condition: Callable[[], object], timeout_s: float = 20.0) -> None:
    """Wait for something that nothing tells of."""
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110  # a log line and a rolled file set no event
            await asyncio.sleep(0.01)


StartStorage = Callable[..., AbstractAsyncContextManager[Asked]]


@pytest.fixture
async def collection() -> AsyncIterator[ScriptedCollection]:
    settings = ServiceSettings(mesh_tls=MeshTls.SIDECAR, drain_s=0)
    async with scripted_collection(settings, ScriptedCollection(heartbeat_interval_s=0.1)) as collection:
        yield collection


@pytest.fixture
def start_storage(tmp_path: Path, collection: ScriptedCollection) -> StartStorage:
    """Starts a storage on the test's own state; a second start finds what the first one left."""

    @asynccontextmanager
    async def start(**changes: object) -> AsyncIterator[Asked]:
        values: dict[str, object] = {
            "home": tmp_path,
            "mesh_tls": MeshTls.SIDECAR,
            "listen_address": "127.0.0.1:0",
            "collection_address": f"127.0.0.1:{collection.port}",
            "drain_s": 0,
            "reorder_wait_s": 0.05,
            "discovery_interval_s": 0.05,
            "ingest_linger_s": 0.001,
        }
        settings = StorageSettings(**{**values, **changes})
        async with run_storage(settings, SystemClock()) as running:
            address = f"127.0.0.1:{running.port}"
            async with grpc.aio.insecure_channel(address) as channel:
                yield Asked(running, StorageServiceStub(channel), channel)

    return start
