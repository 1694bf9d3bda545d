"""The services behind the gateway: where each is, that it is who it says it is, and whether it serves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from optrading.common.access import CONTRACT
from optrading.common.settings import MeshTls
from optrading.common.tls import server_name, spiffe_id
from optrading.gateway.parameters import EnvoyParameters, is_ip, socket_address, split_address

WORKLOAD = "gateway"
"""As whom Envoy calls the services."""
KEYS = "keys"
"""Where jwt_authn fetches the keys of access tokens: the edge itself, which asks identity."""

_EXTENSIONS = "type.googleapis.com/envoy.extensions"
_HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


_STATIC = {"type": "STATIC"}
_BY_NAME = {"type": "STRICT_DNS", "dns_lookup_family": "V4_PREFERRED"}


def clusters(parameters: EnvoyParameters) -> list[dict[str, Any]]:
    """Return one cluster per workload of the contract, and the edge's own, for the keys of tokens.

    Raises:
        KeyError: The address of a workload is missing.
        ValueError: An address is not host:port.
    """
    return [*(_service(workload, parameters) for workload in sorted(CONTRACT)), _keys(parameters)]


def _service(workload: str, parameters: EnvoyParameters) -> dict[str, Any]:
    addresses = [each.strip() for each in parameters.services[workload].split(",")]
    hosts = [split_address(each)[0] for each in addresses]
    cluster: dict[str, Any] = {
        "name": workload,
        **(
            {"type": "STATIC"}
            if all(map(is_ip, hosts))
            else {"type": "STRICT_DNS", "dns_lookup_family": "V4_PREFERRED"}
        ),
        "connect_timeout": "1s",
        "per_connection_buffer_limit_bytes": 1024 * 1024,
        "load_assignment": _endpoints(workload, [socket_address(each) for each in addresses]),
        "typed_extension_protocol_options": {
            _HTTP_OPTIONS: {
                "@type": f"type.googleapis.com/{_HTTP_OPTIONS}",
                "explicit_http_config": {
                    "http2_protocol_options": {
                        # A service that vanished without a packet is noticed within 15 s.
                        "connection_keepalive": {"interval": "10s", "timeout": "5s"},
                        "initial_stream_window_size": 1024 * 1024,
                        "initial_connection_window_size": 16 * 1024 * 1024,
                    }
                },
            }
        },
        # Streams count as requests for as long as they live.
        "circuit_breakers": {
            "thresholds": [
                {"max_connections": 64, "max_pending_requests": 1024, "max_requests": 8192, "max_retries": 16}
            ]
        },
        "health_checks": [
            {
                "timeout": "2s",
                "interval": "1s",
                # A service that comes back is used at once, whether or not anybody asked for it meanwhile.
                "unhealthy_interval": "0.25s",
                "no_traffic_interval": "1s",
                "no_traffic_healthy_interval": "1s",
                "unhealthy_threshold": 2,
                "healthy_threshold": 1,
                "grpc_health_check": {},
            }
        ],
        "common_lb_config": {
            # With one instance of each, "most are unhealthy, so use them all" would hide that a service is down.
            "healthy_panic_threshold": {"value": 0},
            # Envoy otherwise gathers changes for a second before its worker sees that a service is back.
            "update_merge_window": "0s",
        },
    }
    if parameters.mesh_tls is MeshTls.IN_PROCESS:
        cluster["transport_socket"] = _mutual_tls(workload, parameters)
    return cluster


def _mutual_tls(workload: str, parameters: EnvoyParameters) -> dict[str, Any]:
    directory = parameters.tls_directory
    identity = {"san_type": "URI", "matcher": {"exact": spiffe_id(parameters.trust_domain, workload)}}
    certificate = {
        "certificate_chain": {"filename": str(directory / f"{WORKLOAD}.pem")},
        "private_key": {"filename": str(directory / f"{WORKLOAD}.key")},
    }
    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": f"{_EXTENSIONS}.transport_sockets.tls.v3.UpstreamTlsContext",
            "sni": server_name(workload),
            "common_tls_context": {
                # Without it grpcio refuses the connections of health checks.
                "alpn_protocols": ["h2"],
                # Envoy's own maximum towards services is 1.2.
                "tls_params": {
                    "tls_minimum_protocol_version": "TLSv1_3",
                    "tls_maximum_protocol_version": "TLSv1_3",
                },
                "tls_certificates": [certificate],
                "validation_context": {
                    "trusted_ca": {"filename": str(directory / "ca.pem")},
                    "match_typed_subject_alt_names": [identity],
                },
            },
        },
    }


def _keys(parameters: EnvoyParameters) -> dict[str, Any]:
    """Return the edge itself, as jwt_authn reaches it."""
    host, port = split_address(parameters.http_address)
    own = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not listened on
    address = {"socket_address": {"address": own, "port_value": port}}
    return {"name": KEYS, "type": "STATIC", "connect_timeout": "1s", "load_assignment": _endpoints(KEYS, [address])}


def _endpoints(cluster: str, addresses: Sequence[dict[str, Any]]) -> dict[str, Any]:
    hosts = [{"endpoint": {"address": address}} for address in addresses]
    return {"cluster_name": cluster, "endpoints": [{"lb_endpoints": hosts}]}
