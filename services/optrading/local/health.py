"""Whether services serve: asked of each over mTLS, and of all of them through the gateway."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from optrading.common.tls import channel_credentials, server_name
from optrading.local.authority import WORKLOADS

_POLL_S = 0.1
_CALL_S = 2.0

_OPTIONS: tuple[tuple[str, int | str], ...] = (
    # A service that is just starting is found within a tenth of a second.
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 100),
    ("grpc.use_local_subchannel_pool", 1),
)


async def wait_serving(address: str, workload: str, tls_directory: Path | None) -> None:
    """Return when the workload at `address` says that it serves; wait for ever otherwise.

    Args:
        address: host:port.
        workload: Whose certificate is expected there.
        tls_directory: Where the gateway's certificate is, as which we ask; None for plaintext.

    Raises:
        CertificateError: The certificate cannot be read.
    """
    if tls_directory is None:
        channel = grpc.aio.insecure_channel(address, options=_OPTIONS)
    else:
        options = (*_OPTIONS, ("grpc.ssl_target_name_override", server_name(workload)))
        channel = grpc.aio.secure_channel(address, channel_credentials(tls_directory, "gateway"), options=options)
    async with channel:
        health = health_pb2_grpc.HealthStub(channel)
        while True:
            try:
                answer = await health.Check(  # type: ignore[attr-defined]  # not in the stubs
                    health_pb2.HealthCheckRequest(), timeout=_CALL_S, wait_for_ready=True
                )
                if answer.status == health_pb2.HealthCheckResponse.SERVING:
                    return
            except grpc.aio.AioRpcError:
                pass  # not there yet, or just gone
            await asyncio.sleep(_POLL_S)


async def wait_gateway(url: str, admin_address: str) -> None:
    """Return when GET /health at the gateway says ok and Envoy itself uses every service; wait for ever otherwise.

    Both are asked: Envoy's own checks find a service that came back up to a quarter of a second later.
    """
    while await asyncio.to_thread(lambda: ask_gateway(url) or unused_clusters(admin_address)):  # noqa: ASYNC110  # it is other processes that change
        await asyncio.sleep(_POLL_S)


def ask_gateway(url: str) -> str:
    """Ask GET /health; blocks up to two seconds.

    Returns:
        Empty when every component serves; otherwise one line that says what is wrong.
    """
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=_CALL_S) as answer:  # noqa: S310  # our own http URL
            status = json.load(answer).get("status")
            return "" if status == "ok" else f"health is {status}"
    except urllib.error.HTTPError as error:
        try:
            return str(json.load(error)["message"])
        except (ValueError, KeyError, TypeError):
            return f"HTTP {error.code}"
    except (OSError, ValueError) as error:
        return f"no answer at {url}: {getattr(error, 'reason', error)}"


def unused_clusters(admin_address: str) -> set[str]:
    """Ask Envoy which services it would not call now, since its checks of them fail or have not ended; blocks.

    Returns:
        Their names; `envoy` when Envoy itself does not answer.
    """
    try:
        with urllib.request.urlopen(
            f"http://{admin_address}/stats?filter=membership_healthy", timeout=_CALL_S
        ) as answer:
            lines = answer.read().decode().splitlines()
    except (OSError, ValueError):
        return {"envoy"}
    # Each line is such as `cluster.storage.membership_healthy: 1`.
    healthy = {name.split(".")[1] for name, _, count in (line.partition(":") for line in lines) if int(count)}
    return set(WORKLOADS) - healthy
