from __future__ import annotations

import asyncio
import time
from pathlib import Path

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from optrading.common.access import CONTRACT
from optrading.common.channels import open_channel
from optrading.common.errors import reason_of
from tests.contract.common.mesh import Answering, serving

pytestmark = pytest.mark.timeout(30)  # nothing here waits for long

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
SERVICE = "optrading.collection.v1.CollectionService"


async def check(channel: grpc.aio.Channel, service: str = "") -> int:
    request = health_pb2.HealthCheckRequest(service=service)
    return (await health_pb2_grpc.HealthStub(channel).Check(request, timeout=10)).status


@pytest.mark.parametrize("caller", ["gateway", "collection", "storage", "analytics", "identity"])
async def test_every_workload_may_ask_for_health(tls: Path, caller: str) -> None:
    async with (
        serving(Answering(), tls) as (running, settings),
        open_channel(settings, caller, "collection") as channel,
    ):
        assert await check(channel) == NOT_SERVING  # until the workload says otherwise
        await running.set_serving(True)
        assert await check(channel) == await check(channel, SERVICE) == SERVING


async def test_a_service_of_another_workload_is_not_served_here() -> None:
    async with (
        serving(Answering(), None) as (_, settings),
        open_channel(settings, "gateway", "collection") as channel,
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await check(channel, "optrading.storage.v1.StorageService")
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND
        assert reason_of(caught.value) == "UNKNOWN_SERVICE"
        assert SERVICE in str(caught.value.details())
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service="x"), timeout=10)
        assert (await watch.read()).status == UNKNOWN


async def test_a_watch_tells_every_change_and_ends_with_the_service_without_waiting_for_the_drain() -> None:
    async with serving(Answering(), None, drain_s=20) as (running, settings):
        channel = open_channel(settings, "gateway", "collection")
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        assert (await watch.read()).status == NOT_SERVING
        await running.set_serving(True)
        assert (await watch.read()).status == SERVING
        await running.set_serving(True)
        await running.set_serving(False)
        assert (await watch.read()).status == NOT_SERVING
        await running.set_serving(True)
        assert (await watch.read()).status == SERVING
        begun = time.monotonic()
        rest = asyncio.create_task(anext_all(watch))
    assert time.monotonic() - begun < 10
    assert await rest == [NOT_SERVING]
    await channel.close()


async def anext_all(watch: grpc.aio.UnaryStreamCall) -> list[int]:
    return [answer.status async for answer in watch]


async def ask_reflection(channel: grpc.aio.Channel, **request: str) -> reflection_pb2.ServerReflectionResponse:
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    call = stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(**request)]), timeout=10)
    return await call.read()


async def test_the_gateway_can_reflect_on_the_whole_contract(tls: Path) -> None:
    async with (
        serving(Answering(), tls) as (_, settings),
        open_channel(settings, "gateway", "collection") as channel,
    ):
        listed = await ask_reflection(channel, list_services="")
        names = {service.name for service in listed.list_services_response.service}
        assert names >= {service.full_name for file in CONTRACT.values() for service in file.services_by_name.values()}
        found = await ask_reflection(channel, file_containing_symbol="optrading.storage.v1.StorageService")
        files = [FileDescriptorProto.FromString(f) for f in found.file_descriptor_response.file_descriptor_proto]
        assert "optrading/storage/v1/storage_service.proto" in {file.name for file in files}


@pytest.mark.parametrize("caller", ["storage", "collection"])
async def test_no_other_workload_reflects(tls: Path, caller: str) -> None:
    async with serving(Answering(), tls) as (_, settings), open_channel(settings, caller, "collection") as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await ask_reflection(channel, list_services="")
        assert reason_of(caught.value) == "CALLER_NOT_ALLOWED"
