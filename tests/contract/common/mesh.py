"""A collection service that answers what a test wants, served as every workload is served."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc

from optrading.collection.v1 import collection_service_pb2 as pb
from optrading.collection.v1 import collection_service_pb2_grpc as pb_grpc
from optrading.common.channels import open_channel
from optrading.common.serving import RunningServer, serve
from optrading.common.settings import MeshTls, ServiceSettings
from optrading.common.tls import server_name


class Answering(pb_grpc.CollectionServiceServicer):
    """Answers GetChain by `answer()`, and streams `stream()`."""

    def __init__(self) -> None:
        self.calls = 0
        self.ended = asyncio.Event()
        self.answer: Callable[[], Any] = pb.GetChainResponse
        self.stream: Callable[[], AsyncIterator[Any]] | None = None

    async def GetChain(self, request: pb.GetChainRequest, context: Any) -> Any:
        self.calls += 1
        return self.answer()

    async def WatchChains(self, request: pb.WatchChainsRequest, context: Any) -> AsyncIterator[Any]:
        self.calls += 1
        assert self.stream is not None
        try:
            async for each in self.stream():
                yield each
        finally:
            self.ended.set()

    async def AcknowledgeChains(self, request: Any, context: Any) -> pb.AcknowledgeChainsResponse:
        self.calls += 1
        return pb.AcknowledgeChainsResponse()


@asynccontextmanager
async def serving(
    servicer: Answering, tls: Path | None, *, drain_s: float = 0.0
) -> AsyncIterator[tuple[RunningServer, ServiceSettings]]:
    """Serve; yields the server and the settings of whoever calls it. Without certificates it is plaintext."""
    mode = MeshTls.IN_PROCESS if tls else MeshTls.SIDECAR
    settings = ServiceSettings(mesh_tls=mode, tls_directory=tls, drain_s=drain_s)
    async with serve(
        settings, "collection", lambda server: pb_grpc.add_CollectionServiceServicer_to_server(servicer, server)
    ) as running:
        yield running, settings.model_copy(update={"collection_address": f"127.0.0.1:{running.port}"})


@asynccontextmanager
async def calling(settings: ServiceSettings, caller: str) -> AsyncIterator[pb_grpc.CollectionServiceStub]:
    async with open_channel(settings, caller, "collection") as channel:
        yield pb_grpc.CollectionServiceStub(channel)


def bare_channel(settings: ServiceSettings, credentials: grpc.ChannelCredentials) -> grpc.aio.Channel:
    """Open a channel with credentials of the test's own."""
    options = (("grpc.ssl_target_name_override", server_name("collection")),)
    return grpc.aio.secure_channel(settings.collection_address, credentials, options=options)
