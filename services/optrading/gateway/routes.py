"""Routes from the contract: every REST face of every method, its gRPC face, and the policy of each.

A method that only services of the mesh may call gets no route at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optrading.access.v1.access_pb2 import PERMISSION_MESH_ONLY
from optrading.common.access import CONTRACT, Access, services_of
from optrading.common.channels import MAX_MESSAGE_BYTES
from optrading.gateway.bindings import Binding, bindings_of
from optrading.gateway.parameters import seconds
from optrading.gateway.policies import PUBLIC, policy_for, public_policy, require_policies, scope_policy
from optrading.gateway.replies import ROUTE_METADATA
from optrading.gateway.retries import retry_policy

TRANSCODER = "envoy.filters.http.grpc_json_transcoder"
TRANSCODER_TYPE = "type.googleapis.com/envoy.extensions.filters.http.grpc_json_transcoder.v3.GrpcJsonTranscoder"
FILTER_CONFIG = "type.googleapis.com/envoy.config.route.v3.FilterConfig"
NAME_LINES = "name_lines"
DROP_GRPC_HEADERS = "drop_grpc_headers"
CHECK_QUERY = "check_query"

REFLECTION_PATHS = tuple(
    f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo" for version in ("v1", "v1alpha")
)
"""Every service answers for the whole contract; users reach the one of identity."""


Route = dict[str, Any]


@dataclass(frozen=True, slots=True)
class RouteParameters:
    """What routes depend on besides the contract.

    Attributes:
        descriptor_set: File of the contract's messages.
        unary_timeout_s: Longest time for an answer that is one message, seconds.
        stream_idle_timeout_s: Silence after which a stream is ended, seconds.
    """

    descriptor_set: Path
    unary_timeout_s: float
    stream_idle_timeout_s: float


def transcoder(descriptor_set: Path, *, events: bool = False) -> dict[str, Any]:
    """Return the translation between JSON and gRPC; streams become lines of JSON, or server-sent events."""
    printing = {
        "always_print_primitive_fields": True,
        "preserve_proto_field_names": True,
        "stream_newline_delimited": True,
    }
    if events:
        printing["stream_sse_style_delimited"] = True
    return {
        "@type": TRANSCODER_TYPE,
        "proto_descriptor": str(descriptor_set),
        "services": sorted(service.full_name for workload in CONTRACT for service in services_of(workload)),
        # The route is chosen by the path that was asked for and stays; its policy holds whatever the path becomes.
        "match_incoming_request_route": True,
        "convert_grpc_status": True,
        "print_options": printing,
        "request_validation_options": {
            "reject_unknown_query_parameters": True,
            "reject_binding_body_field_collisions": True,
        },
        # Envoy holds an answer of one message whole while it becomes JSON.
        "max_response_body_size": MAX_MESSAGE_BYTES,
    }


def route_configuration(contract: Mapping[str, Access], parameters: RouteParameters) -> dict[str, Any]:
    """Return Envoy's routes for `contract`.

    Raises:
        BindingError: A REST path of the contract cannot be routed.
        UnprotectedRouteError: A route came out without a policy.
    """
    reachable = [access for access in contract.values() if access.permission != PERMISSION_MESH_ONLY]
    bound = [(access, binding) for access in reachable for binding in bindings_of(access.descriptor)]
    routes: list[Route] = []
    for access, binding in bound:
        routes += _rest_routes(access, binding, parameters)
    routes += [_grpc_route(access, parameters) for access in reachable]
    routes += [_reflection_route(path, parameters) for path in REFLECTION_PATHS]
    routes += _wrong_verb_routes([binding for _, binding in bound])
    routes.append(_direct_route("unknown path", {"prefix": "/"}, 404))
    configuration = {
        "name": "edge",
        "virtual_hosts": [
            {
                "name": "edge",
                "domains": ["*"],
                "response_headers_to_add": [
                    # Answers depend on the caller's permissions and on the second: no cache outside may keep them.
                    _header("cache-control", "no-store"),
                    _header("x-content-type-options", "nosniff"),
                ],
                "routes": routes,
            }
        ],
    }
    require_policies(configuration)
    return configuration


def rest_faces(contract: Mapping[str, Access]) -> list[str]:
    """Return every REST face as `GET /path`, each method once, by its shortest path."""
    bound = [bindings_of(access.descriptor) for access in contract.values()]
    shortest = [min(bindings, key=lambda binding: len(binding.template)) for bindings in bound if bindings]
    return sorted((f"{binding.verb} {binding.template}" for binding in shortest), key=lambda face: face.split()[::-1])


def _rest_routes(access: Access, binding: Binding, parameters: RouteParameters) -> list[Route]:
    """Return one route, or for a stream that can be had as events, the two that its Accept header chooses between."""
    streams = access.descriptor.server_streaming
    name = f"{access.method} {binding.verb} {binding.template}"
    lines: Route = {
        "name": name,
        "match": _match(binding.template, binding.path_regex, _exact(":method", binding.verb)),
        "route": _forward(access.workload, streams, binding.verb == "GET", parameters),
        "metadata": {
            "filter_metadata": {
                CHECK_QUERY: {"query": binding.query, **({"values": binding.values} if binding.values else {})},
                ROUTE_METADATA: {"permission": access.scope or PUBLIC},
            }
        },
        "typed_per_filter_config": {**policy_for(access.scope), DROP_GRPC_HEADERS: _enabled()},
    }
    if not streams:
        return [lines]
    lines["typed_per_filter_config"][NAME_LINES] = _enabled()
    if not binding.template.endswith("/stream"):
        return [lines]
    accepts = {"name": "accept", "string_match": {"contains": "text/event-stream", "ignore_case": True}}
    events = {
        **lines,
        "name": f"{name} as events",
        "match": _match(binding.template, binding.path_regex, _exact(":method", binding.verb), accepts),
        "typed_per_filter_config": {
            **policy_for(access.scope),
            DROP_GRPC_HEADERS: _enabled(),
            TRANSCODER: transcoder(parameters.descriptor_set, events=True),
        },
    }
    return [events, lines]


def _grpc_route(access: Access, parameters: RouteParameters) -> Route:
    return {
        "name": f"{access.method} gRPC",
        "match": _grpc_match(access.method),
        "route": _forward(access.workload, access.descriptor.server_streaming, False, parameters),
        "typed_per_filter_config": policy_for(access.scope),
    }


def _reflection_route(path: str, parameters: RouteParameters) -> Route:
    return {
        "name": f"{path} gRPC",
        "match": _grpc_match(path),
        "route": _forward("identity", True, False, parameters),
        "typed_per_filter_config": scope_policy("read_data"),
    }


def _wrong_verb_routes(bindings: list[Binding]) -> list[Route]:
    """Return one answer per REST path for the HTTP methods it does not have."""
    verbs: dict[str, list[str]] = {}
    patterns = {binding.template: binding.path_regex for binding in bindings}
    for binding in bindings:
        verbs.setdefault(binding.template, []).append(binding.verb)
    return [
        {
            **_direct_route(f"wrong method for {template}", _match(template, patterns[template]), 405),
            "response_headers_to_add": [_header("allow", ", ".join(sorted(allowed)))],
        }
        for template, allowed in verbs.items()
    ]


def _direct_route(name: str, match: dict[str, Any], status: int) -> Route:
    return {
        "name": name,
        "match": match,
        "direct_response": {"status": status},
        "typed_per_filter_config": public_policy(),
    }


def _forward(cluster: str, streams: bool, repeatable: bool, parameters: RouteParameters) -> dict[str, Any]:
    """Return how a request goes on."""
    if streams:
        limits = {"timeout": "0s", "idle_timeout": seconds(parameters.stream_idle_timeout_s)}
    else:
        limits = {"timeout": seconds(parameters.unary_timeout_s)}
    forward: dict[str, Any] = {"cluster": cluster, **limits}
    policy = retry_policy(cluster, repeatable)
    if policy is not None:
        forward["retry_policy"] = policy
    return forward


def _match(template: str, regex: str | None, *headers: dict[str, Any]) -> dict[str, Any]:
    path: dict[str, Any] = {"path": template} if regex is None else {"safe_regex": {"regex": regex}}
    return {**path, "headers": list(headers)} if headers else path


def _grpc_match(path: str) -> dict[str, Any]:
    content_type = {"name": "content-type", "string_match": {"prefix": "application/grpc"}}
    return _match(path, None, _exact(":method", "POST"), content_type)


def _enabled() -> dict[str, Any]:
    """Return what turns a filter on that is off elsewhere."""
    return {"@type": FILTER_CONFIG, "config": {}}


def _exact(header: str, value: str) -> dict[str, Any]:
    return {"name": header, "string_match": {"exact": value}}


def _header(name: str, value: str) -> dict[str, Any]:
    return {"header": {"key": name, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
