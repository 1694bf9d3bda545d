from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from optrading.access.v1.access_pb2 import PERMISSION_MESH_ONLY
from optrading.common.access import read_contract
from optrading.gateway.bindings import bindings_of
from optrading.gateway.policies import PUBLIC, policy_name
from optrading.gateway.routes import (
    REFLECTION_PATHS,
    SHARED,
    TRANSCODER,
    RouteParameters,
    rest_faces,
    route_configuration,
)

CONTRACT = read_contract()
REACHABLE = {name: access for name, access in CONTRACT.items() if access.permission != PERMISSION_MESH_ONLY}
PARAMETERS = RouteParameters(Path("contract.pb"), unary_timeout_s=30.0, stream_idle_timeout_s=60.0)
ROUTES: list[dict[str, Any]] = route_configuration(CONTRACT, PARAMETERS)["virtual_hosts"][0]["routes"]


def admits(route: dict[str, Any], method: str, path: str, **headers: str) -> bool:
    """Decide as Envoy does whether `route` takes a request."""
    match = route["match"]
    request = {":method": method, **{name.replace("_", "-"): value for name, value in headers.items()}}
    if "path" in match:
        found = path == match["path"]
    elif "safe_regex" in match:
        found = re.fullmatch(match["safe_regex"]["regex"], path) is not None
    else:
        found = path.startswith(match["prefix"])
    return found and all(
        holds(each["string_match"], request.get(each["name"], "")) for each in match.get("headers", [])
    )


def holds(match: dict[str, Any], value: str) -> bool:
    if "exact" in match:
        return value == match["exact"]
    if "prefix" in match:
        return value.startswith(match["prefix"])
    return match["contains"] in value.lower()


def chosen(method: str, path: str, **headers: str) -> dict[str, Any]:
    return next(route for route in ROUTES if admits(route, method, path, **headers))


def test_every_rest_face_is_taken_by_exactly_one_route_with_the_policy_of_its_method() -> None:
    for access in REACHABLE.values():
        for binding in bindings_of(access.descriptor):
            path = re.sub(r"\{\w+\}", "NIFTY", binding.template)
            forwarding = [r for r in ROUTES if "route" in r and admits(r, binding.verb, path, accept="*/*")]
            assert len(forwarding) == 1, path
            assert chosen(binding.verb, path, accept="*/*") is forwarding[0]
            assert forwarding[0]["name"].split()[0] == access.method
            assert forwarding[0]["route"]["cluster"] == access.workload
            assert policy_name(forwarding[0]) == (access.scope or PUBLIC)


def test_every_method_is_taken_by_exactly_one_grpc_route_with_its_policy() -> None:
    for access in REACHABLE.values():
        for kind in ("application/grpc", "application/grpc+proto", "application/grpc-web-text"):
            (route,) = [r for r in ROUTES if "route" in r and admits(r, "POST", access.method, content_type=kind)]
            assert route["route"]["cluster"] == access.workload
            assert policy_name(route) == (access.scope or PUBLIC)


def test_what_only_the_mesh_may_call_has_no_route() -> None:
    internal = set(CONTRACT) - set(REACHABLE)
    assert internal
    for name in internal:
        assert chosen("POST", name, content_type="application/grpc")["name"] == "unknown path"
        assert not [route for route in ROUTES if name in route["name"]]


def test_there_is_no_route_besides_the_contract_reflection_and_refusals() -> None:
    forwarding = Counter(route["name"].split()[0] for route in ROUTES if "route" in route)
    assert set(forwarding) == {*REACHABLE, *REFLECTION_PATHS}
    direct = [route["direct_response"]["status"] for route in ROUTES if "route" not in route]
    assert set(direct) == {404, 405}


def test_reflection_needs_the_permission_to_read() -> None:
    for path in REFLECTION_PATHS:
        assert policy_name(chosen("POST", path, content_type="application/grpc")) == "read_data"


def test_anything_else_ends_at_a_route_that_answers_404() -> None:
    assert ROUTES[-1]["match"] == {"prefix": "/"}
    assert ROUTES[-1]["direct_response"] == {"status": 404}


def test_streams_have_no_limit_but_silence_and_single_answers_have_one() -> None:
    for route in ROUTES:
        if "route" not in route:
            continue
        method = route["name"].split()[0]
        streams = method in REFLECTION_PATHS or CONTRACT[method].descriptor.server_streaming
        limits = {key: route["route"].get(key) for key in ("timeout", "idle_timeout")}
        expected = {"timeout": "0s", "idle_timeout": "60s"} if streams else {"timeout": "30s", "idle_timeout": None}
        assert limits == expected, route["name"]


def test_only_reads_by_rest_are_tried_again_and_only_when_no_service_has_seen_them() -> None:
    for route in ROUTES:
        if route.get("route", {}).get("cluster") in SHARED:
            continue
        retried = "retry_policy" in route.get("route", {})
        assert retried == (" GET " in route["name"]), route["name"]
        if retried:
            assert route["route"]["retry_policy"]["retry_on"] == "connect-failure,refused-stream"


def test_who_does_not_own_what_is_asked_for_is_passed_over_for_another_collector() -> None:
    shared = [route["route"] for route in ROUTES if route.get("route", {}).get("cluster") in SHARED]
    assert shared
    for forward in shared:
        policy = forward["retry_policy"]
        assert policy["retry_on"] == "connect-failure,refused-stream,retriable-headers"
        assert policy["retriable_headers"] == [{"name": "grpc-status", "string_match": {"exact": "14"}}]
        assert policy["retry_host_predicate"][0]["name"] == "envoy.retry_host_predicates.previous_hosts"


def test_streams_come_as_events_for_who_accepts_them_and_as_lines_otherwise() -> None:
    for access in REACHABLE.values():
        for binding in bindings_of(access.descriptor):
            if not binding.template.endswith("/stream"):
                continue
            path = re.sub(r"\{\w+\}", "NIFTY", binding.template)
            events = chosen("GET", path, accept="text/event-stream")["typed_per_filter_config"]
            assert events[TRANSCODER]["print_options"]["stream_sse_style_delimited"] is True
            assert events[TRANSCODER]["print_options"]["stream_newline_delimited"] is True
            lines = chosen("GET", path, accept="*/*")["typed_per_filter_config"]
            assert TRANSCODER not in lines
            assert "name_lines" in lines


def test_the_faces_that_are_shown_are_one_per_method() -> None:
    faces = rest_faces(CONTRACT)
    assert "GET /option-chain/{index}" in faces
    assert "POST /auth/login" in faces
    assert len(faces) == len([each for each in CONTRACT.values() if bindings_of(each.descriptor)])
    assert not [face for face in faces if "/v1/" in face]


@pytest.mark.parametrize("path", ["/option-chain/NIFTY/", "/option-chain/", "/v1/option-chain/NIFTY/stream/x", "/"])
def test_a_path_that_only_resembles_one_is_unknown(path: str) -> None:
    assert chosen("GET", path, accept="*/*")["direct_response"]["status"] == 404
