"""Serving one workload over gRPC: mTLS, interceptors, health, reflection, and an orderly end."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import grpc
import structlog
from grpc_health.v1 import health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from opentelemetry.instrumentation.grpc import aio_server_interceptor, filters

from optrading.common.access import CONTRACT, read_contract, services_of
from optrading.common.channels import MAX_MESSAGE_BYTES
from optrading.common.health import HealthServicer
from optrading.common.interceptors import CallInterceptor, ClosingInterceptor
from optrading.common.settings import MeshTls, ServiceSettings
from optrading.common.tls import server_credentials

log = structlog.get_logger()

SERVER_OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    # What the gateway lets pass (32 KiB of headers, the path once more in one of its own) reaches us. grpcio's own
    # limit of 8 KiB would refuse long queries, and between 8 and 16 KiB only some of them.
    ("grpc.max_metadata_size", 80 * 1024),
    ("grpc.absolute_max_metadata_size", 80 * 1024),
    # Two processes on one port would share calls silently; a second start must fail instead.
    ("grpc.so_reuseport", 0),
    # Clients of the mesh ping every 10 s; grpcio would call that abuse and disconnect them.
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
    ("grpc.http2.max_ping_strikes", 0),
)


class AddressInUseError(Exception):
    """The address cannot be listened on."""


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server that accepts calls.

    Attributes:
        port: TCP port it listens on.
    """

    port: int
    _health: HealthServicer

    async def set_serving(self, serving: bool) -> None:
        """Tell whoever asks or watches whether this workload does its job; it begins with not serving."""
        self._health.set_serving(serving)


@asynccontextmanager
async def serve(
    settings: ServiceSettings, workload: str, add: Callable[[grpc.aio.Server], None]
) -> AsyncIterator[RunningServer]:
    """Serve `workload` while the block runs; then NOT_SERVING, running calls get `drain_s`, and the server stops.

    Args:
        settings: Address to listen on, who encrypts, drain time.
        workload: Name in the mesh; decides certificate and identity.
        add: Adds the servicers to the server.

    Raises:
        AddressInUseError: The listen address is taken or not ours.
        CertificateError: The certificate cannot be read.
        ContractError: A method has no access rule.
    """
    encrypted = settings.mesh_tls is MeshTls.IN_PROCESS
    calls = CallInterceptor(read_contract(), settings.trust_domain, check_peers=encrypted)
    # Health is not traced: its checks come every second, and the interceptor cannot wrap grpcio's own Watch.
    tracing = aio_server_interceptor(filter_=filters.negate(filters.health_check()))
    server = grpc.aio.server(interceptors=[ClosingInterceptor(), tracing, calls], options=SERVER_OPTIONS)
    add(server)
    health = HealthServicer(service.full_name for service in services_of(workload))
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    everything = [service.full_name for name in CONTRACT for service in services_of(name)]
    reflection.enable_server_reflection([*everything, reflection.SERVICE_NAME], server)
    try:
        if encrypted:
            port = server.add_secure_port(settings.listen_address, server_credentials(settings.tls(), workload))
        else:
            port = server.add_insecure_port(settings.listen_address)
    except RuntimeError as error:
        raise AddressInUseError(
            f"{settings.listen_address} cannot be listened on: taken, or not an address of this host"
        ) from error
    await server.start()
    log.info("server_started", workload=workload, port=port, mesh_tls=settings.mesh_tls.value)
    try:
        yield RunningServer(port, health)
    finally:
        health.close()
        await server.stop(settings.drain_s)
        log.info("server_stopped", workload=workload)


async def until_signal() -> None:
    """Return at the first SIGTERM or SIGINT; the second ends the process at once."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def first(number: signal.Signals) -> None:
        log.info("stop_requested", signal=number.name)
        stop.set()
        for each in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(each)
            signal.signal(each, signal.SIG_DFL)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, first, number)
    await stop.wait()
