"""The companion that answers for the health of the mesh, over real gRPC."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from optrading.common.channels import open_channel
from optrading.common.clock import SystemClock
from optrading.common.serving import serve
from optrading.common.settings import MeshTls, ServiceSettings
from optrading.gateway.health_watch import HealthWatch
from optrading.gateway.v1 import gateway_service_pb2, gateway_service_pb2_grpc
from optrading.local.ports import free_ports
from tests.gateway.edge import DEADLINE_S


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not condition():  # noqa: ASYNC110 - what is waited for is state of the product, which has no event
            await asyncio.sleep(0.01)


async def test_a_watch_follows_a_service_that_stops_dies_and_comes_back() -> None:
    (port,) = free_ports(1)
    settings = ServiceSettings(
        mesh_tls=MeshTls.SIDECAR,
        listen_address=f"127.0.0.1:{port}",
        storage_address=f"127.0.0.1:{port}",
        drain_s=0.0,
    )
    channels: list[str] = []

    def open_one(name: str) -> grpc.aio.Channel:
        channels.append(name)
        return open_channel(settings, "gateway", name)

    watch = HealthWatch(("storage",), open_one, SystemClock(), longest_retry_s=0.2)
    assert watch.serving == {"storage": False}
    watching = asyncio.create_task(watch.run())
    for _ in range(2):
        async with serve(settings, "storage", lambda server: None) as server:
            await server.set_serving(True)
            await until(lambda: watch.serving["storage"])
            await server.set_serving(False)
            await until(lambda: not watch.serving["storage"])
            await server.set_serving(True)
            await until(lambda: watch.serving["storage"])
        await until(lambda: not watch.serving["storage"])
    watching.cancel()
    await asyncio.wait([watching])
    assert channels == ["storage"]


def test_the_program_serves_says_who_is_missing_and_stops_on_a_signal() -> None:
    port, *nobody = free_ports(5)
    addresses = zip(("COLLECTION", "STORAGE", "ANALYTICS", "IDENTITY"), nobody, strict=True)
    environment = {
        **os.environ,
        **{f"{name}_ADDRESS": f"127.0.0.1:{unused}" for name, unused in addresses},
        "LISTEN_ADDRESS": f"127.0.0.1:{port}",
        "MESH_TLS": "sidecar",
    }
    command = [sys.executable, "-m", "optrading.gateway"]
    with (
        subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as program,
        grpc.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        try:
            stub = gateway_service_pb2_grpc.GatewayServiceStub(channel)
            request = gateway_service_pb2.GetHealthRequest()
            grpc.channel_ready_future(channel).result(DEADLINE_S)
            try:
                stub.GetHealth(request, timeout=DEADLINE_S)
            except grpc.RpcError as error:
                status = rpc_status.from_call(error)
            info = error_details_pb2.ErrorInfo()
            assert status.details[0].Unpack(info)
            assert info.reason == "DEPENDENCY_UNAVAILABLE"
            assert dict(info.metadata) == dict.fromkeys(
                ("collection", "storage", "analytics", "identity"), "not_serving"
            )
        finally:
            program.send_signal(signal.SIGTERM)
            _, log = program.communicate(timeout=DEADLINE_S)
    assert program.returncode == 0, log
    assert "server_stopped" in log
