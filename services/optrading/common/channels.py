"""Channels to other services of the mesh."""

from __future__ import annotations

import grpc
from opentelemetry.instrumentation.grpc import aio_client_interceptors

from optrading.common.settings import MeshTls, ServiceSettings
from optrading.common.tls import channel_credentials, server_name

MAX_MESSAGE_BYTES = 64 * 1024 * 1024
"""A chain of 10,000 strikes over 20 expiries with its analytics stays under this; grpcio's own limit is 4 MiB."""

CHANNEL_OPTIONS: tuple[tuple[str, int | str], ...] = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    # A dead peer is noticed within 15 s even when no packet says so.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.max_pings_without_data", 0),
    # A service that restarts is back within a second or two and then found at once; grpcio's default backoff would wait
    # up to two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    # Also the time a connect may take, handshake included; one that is refused is tried again after the backoff above.
    ("grpc.min_reconnect_backoff_ms", 2_000),
    ("grpc.max_reconnect_backoff_ms", 500),
)


def open_channel(settings: ServiceSettings, caller: str, service: str, address: str = "") -> grpc.aio.Channel:
    """Open a channel from `caller` to `service`, at `address` or where the settings say; use as `async with`.

    Connecting is lazy: an unreachable service shows as UNAVAILABLE at the first call.

    Raises:
        CertificateError: The caller's certificate cannot be read.
    """
    address = _target(address or settings.address_of(service))
    interceptors = aio_client_interceptors()
    if settings.mesh_tls is MeshTls.SIDECAR:
        return grpc.aio.insecure_channel(address, options=CHANNEL_OPTIONS, interceptors=interceptors)
    options = (*CHANNEL_OPTIONS, ("grpc.ssl_target_name_override", server_name(service)))
    credentials = channel_credentials(settings.tls(), caller)
    return grpc.aio.secure_channel(address, credentials, options=options, interceptors=interceptors)


def _target(addresses: str) -> str:
    """Return what gRPC connects to: the first of several instances that can be reached, where they are numbers."""
    each = [address.strip() for address in addresses.split(",")]
    if len(each) == 1:
        return each[0]
    numeric = all(address.rpartition(":")[0].replace(".", "").isdecimal() for address in each)
    return f"ipv4:{','.join(each)}" if numeric else each[0]
