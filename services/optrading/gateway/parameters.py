"""What a running Envoy depends on besides the contract: addresses, certificates, files and limits."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from optrading.common.settings import MeshTls


@dataclass(frozen=True, slots=True)
class EnvoyParameters:
    """One gateway.

    Attributes:
        http_address: host:port for clients: REST, SSE, NDJSON, gRPC and gRPC-Web.
        admin_address: host:port of Envoy's own administration, which must never leave the machine.
        services: host:port of every workload of the contract, by name, of several instances separated by commas;
            `gateway` is the companion beside Envoy.
        descriptor_set: File that `write_descriptor_set` writes.
        access_log: File that gets one JSON line per request; `/dev/stdout` in containers.
        mesh_tls: Who encrypts between the gateway and the services.
        tls_directory: Holds ca.pem, gateway.pem and gateway.key; not read when a sidecar encrypts.
        trust_domain: Trust domain of SPIFFE identities.
        jwt_issuer: `iss` that access tokens must have, as identity's setting of this name.
        jwt_audience: `aud` that access tokens must have, as identity's setting of this name.
        unary_timeout_s: Longest time for an answer that is one message, seconds.
        stream_idle_timeout_s: Silence after which a stream is ended, seconds; well over the services' heartbeat.
    """

    http_address: str
    admin_address: str
    services: Mapping[str, str]
    descriptor_set: Path
    access_log: Path
    mesh_tls: MeshTls
    tls_directory: Path
    trust_domain: str
    jwt_issuer: str = "optrading"
    jwt_audience: str = "optrading"
    unary_timeout_s: float = 30.0
    stream_idle_timeout_s: float = 60.0


def socket_address(address: str) -> dict[str, object]:
    """Return `host:port` (`[host]:port` for IPv6) as Envoy's address.

    Raises:
        ValueError: It is not of that form.
    """
    host, port = split_address(address)
    return {"socket_address": {"address": host, "port_value": port}}


def split_address(address: str) -> tuple[str, int]:
    """Return host and port of `host:port`.

    Raises:
        ValueError: It is not of that form.
    """
    host, _, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise ValueError(f"{address!r} is not host:port")
    return host, int(port)


def is_ip(host: str) -> bool:
    """Tell whether `host` is an IP address rather than a name to look up."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def seconds(duration_s: float) -> str:
    """Return a duration as Envoy writes it, such as `30s` or `0.5s`."""
    return f"{duration_s:g}s"
