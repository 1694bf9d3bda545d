from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest

from optrading.collection.feeds.base import Feed
from optrading.collection.service import RunningCollection, run_collection
from optrading.collection.settings import CollectionSettings
from optrading.collection.v1 import collection_service_pb2 as pb
from optrading.collection.v1 import collection_service_pb2_grpc as pb_grpc
from optrading.common.channels import open_channel
from optrading.common.settings import MeshTls
from optrading.common.telemetry import configure_tracing
from optrading.market.chain import Position
from optrading.market.v1 import chain_pb2
from optrading.testing.clock import ManualClock
from optrading.testing.scripted_feed import ScriptedFeed


@dataclass
class Served:
    """A collector and somebody who calls it."""

    running: RunningCollection
    stub: Any

    async def until_shown(self, index: str, count: int) -> None:
        """Return when so many chains of this start are shown."""
        await self.running.board.wait_after(index, Position(self.running.pipeline.epoch, count - 1))

    def watch(self, index: str = "NIFTY", after: tuple[int, int] | None = None, **fields: Any) -> Any:
        request = pb.WatchChainsRequest(index=index, **fields)
        if after is not None:
            request.resume_after_epoch, request.resume_after_sequence = after
        return self.stub.WatchChains(request, timeout=20)

    def watch_all(self, index: str = "NIFTY", after: tuple[int, int] | None = None) -> Any:
        return self.watch(index, after, delivery=chain_pb2.DELIVERY_LOSSLESS)


Collecting = Callable[..., AbstractAsyncContextManager[Served]]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def channels() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture
def collecting(tmp_path: Path, clock: ManualClock, channels: AsyncExitStack) -> Collecting:
    """Serve a feed from this test's folder; called again, it is a restart."""
    configure_tracing("collection")

    @asynccontextmanager
    async def start(feed: Feed, **changes: Any) -> AsyncIterator[Served]:
        values: dict[str, Any] = {
            "home": tmp_path,
            "listen_address": "127.0.0.1:0",
            "mesh_tls": MeshTls.SIDECAR,
            "active_strike_offsets": "all",
            "drain_s": 0.0,
        }
        settings = CollectionSettings(**{**values, **changes})
        async with run_collection(settings, feed, clock) as running:
            client = settings.model_copy(update={"collection_address": f"127.0.0.1:{running.port}"})
            # Closed after the service, as in a mesh: what a stream ends with is the server's word.
            channel = await channels.enter_async_context(open_channel(client, "storage", "collection"))
            yield Served(running, pb_grpc.CollectionServiceStub(channel))

    return start


@pytest.fixture
def feed() -> ScriptedFeed:
    return ScriptedFeed("NIFTY", "SENSEX")


async def failure(call: Any) -> grpc.aio.AioRpcError:
    """Return the error that a stream ends with."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        _ = [response async for response in call]
    return caught.value
