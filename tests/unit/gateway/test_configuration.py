from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from optrading.common.access import CONTRACT
from optrading.common.settings import MeshTls
from optrading.gateway.configuration import envoy_command, render_envoy, write_envoy
from optrading.gateway.parameters import EnvoyParameters

PARAMETERS = EnvoyParameters(
    http_address="127.0.0.1:8000",
    admin_address="127.0.0.1:8001",
    services={workload: f"127.0.0.1:{9000 + at}" for at, workload in enumerate(sorted(CONTRACT))},
    descriptor_set=Path("/state/contract.pb"),
    access_log=Path("/state/access.json"),
    mesh_tls=MeshTls.IN_PROCESS,
    tls_directory=Path("/state/tls"),
    trust_domain="optrading.test",
)


def manager(document: dict[str, Any]) -> dict[str, Any]:
    (listener,) = document["static_resources"]["listeners"]
    (chain,) = listener["filter_chains"]
    return dict(chain["filters"][0]["typed_config"])


def filters(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in manager(document)["http_filters"]}


def cluster(document: dict[str, Any], name: str) -> dict[str, Any]:
    return next(each for each in document["static_resources"]["clusters"] if each["name"] == name)


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return render_envoy(PARAMETERS)


def test_the_edge_is_hardened(document: dict[str, Any]) -> None:
    edge = manager(document)
    assert edge["use_remote_address"] is True
    assert edge["normalize_path"] is True
    assert edge["merge_slashes"] is True
    assert edge["path_with_escaped_slashes_action"] == "REJECT_REQUEST"
    assert edge["common_http_protocol_options"] == {
        "headers_with_underscores_action": "REJECT_REQUEST",
        "max_headers_count": 100,
        "idle_timeout": "300s",
    }
    assert edge["max_request_headers_kb"] == 32
    http2 = edge["http2_protocol_options"]
    assert http2["max_concurrent_streams"] == 100
    assert http2["initial_stream_window_size"] == 64 * 1024
    assert http2["initial_connection_window_size"] == 1024 * 1024
    assert (edge["request_headers_timeout"], edge["request_timeout"], edge["stream_idle_timeout"]) == (
        "10s",
        "30s",
        "60s",
    )
    assert document["static_resources"]["listeners"][0]["per_connection_buffer_limit_bytes"] == 1024 * 1024
    assert filters(document)["envoy.filters.http.body_size_limit"]["typed_config"]["max_request_bytes"] == 1024 * 1024


def test_memory_and_connections_are_bounded(document: dict[str, Any]) -> None:
    overload = document["overload_manager"]
    monitors = {each["name"]: each["typed_config"] for each in overload["resource_monitors"]}
    connections = monitors["envoy.resource_monitors.global_downstream_max_connections"]
    assert connections["max_active_downstream_connections"] == 10_000
    assert monitors["envoy.resource_monitors.fixed_heap"]["max_heap_size_bytes"] == 1024**3
    actions = {each["name"].rpartition(".")[2] for each in overload["actions"]}
    assert actions == {"shrink_heap", "stop_accepting_requests"}


def test_a_stream_may_be_silent_for_much_longer_than_a_heartbeat() -> None:
    heartbeat_s = 5.0
    assert PARAMETERS.stream_idle_timeout_s > 5 * heartbeat_s


def test_who_calls_is_decided_before_anything_is_translated(document: dict[str, Any]) -> None:
    assert [each["name"] for each in manager(document)["http_filters"]] == [
        "envoy.filters.http.jwt_authn",
        "envoy.filters.http.rbac",
        "envoy.filters.http.body_size_limit",
        "check_query",
        "name_lines",
        "drop_grpc_headers",
        "envoy.filters.http.grpc_web",
        "envoy.filters.http.grpc_json_transcoder",
        "envoy.filters.http.router",
    ]


def test_a_token_is_needed_and_nothing_is_allowed_unless_a_route_says_otherwise(document: dict[str, Any]) -> None:
    jwt = filters(document)["envoy.filters.http.jwt_authn"]["typed_config"]
    assert jwt["rules"] == [{"match": {"prefix": "/"}, "requirement_name": "access_token"}]
    assert jwt["requirement_map"] == {"access_token": {"provider_name": "identity"}}
    rules = filters(document)["envoy.filters.http.rbac"]["typed_config"]["rules"]
    assert rules["action"] == "ALLOW"
    assert rules["policies"] == {
        "nobody": {"permissions": [{"not_rule": {"any": True}}], "principals": [{"not_id": {"any": True}}]}
    }


def test_tokens_must_name_the_issuer_and_audience_of_identity() -> None:
    document = render_envoy(replace(PARAMETERS, jwt_issuer="https://us", jwt_audience="them"))
    provider = filters(document)["envoy.filters.http.jwt_authn"]["typed_config"]["providers"]["identity"]
    assert provider["issuer"] == "https://us"
    assert provider["audiences"] == ["them"]
    assert provider["require_expiration"] is True
    assert provider["forward"] is False
    assert provider["clock_skew_seconds"] <= 10


@pytest.mark.parametrize("workload", sorted(CONTRACT))
def test_every_service_is_reached_by_mutual_tls_as_itself_only(document: dict[str, Any], workload: str) -> None:
    context = cluster(document, workload)["transport_socket"]["typed_config"]["common_tls_context"]
    assert context["alpn_protocols"] == ["h2"]
    assert context["tls_params"] == {
        "tls_minimum_protocol_version": "TLSv1_3",
        "tls_maximum_protocol_version": "TLSv1_3",
    }
    (own,) = context["tls_certificates"]
    assert own["certificate_chain"] == {"filename": "/state/tls/gateway.pem"}
    assert own["private_key"] == {"filename": "/state/tls/gateway.key"}
    validation = context["validation_context"]
    assert validation["trusted_ca"] == {"filename": "/state/tls/ca.pem"}
    assert validation["match_typed_subject_alt_names"] == [
        {"san_type": "URI", "matcher": {"exact": f"spiffe://optrading.test/ns/optrading/sa/{workload}"}}
    ]


def test_services_are_asked_whether_they_serve_also_when_nobody_calls_them(document: dict[str, Any]) -> None:
    for workload in CONTRACT:
        found = cluster(document, workload)
        (check,) = found["health_checks"]
        assert check["grpc_health_check"] == {}
        assert check["no_traffic_interval"] == "1s"
        assert found["common_lb_config"]["healthy_panic_threshold"] == {"value": 0}
        assert found["circuit_breakers"]["thresholds"][0]["max_requests"] > 0


def test_with_a_sidecar_the_gateway_encrypts_nothing_and_names_are_looked_up() -> None:
    services = {workload: f"{workload}.optrading.svc.cluster.local:50051" for workload in CONTRACT}
    document = render_envoy(replace(PARAMETERS, mesh_tls=MeshTls.SIDECAR, services=services))
    for workload in CONTRACT:
        found = cluster(document, workload)
        assert "transport_socket" not in found
        assert found["type"] == "STRICT_DNS"


@pytest.mark.parametrize(
    ("listened", "reached"), [("0.0.0.0:8000", "127.0.0.1"), ("[::]:8000", "::1"), ("10.0.0.7:8000", "10.0.0.7")]
)
def test_keys_are_fetched_from_the_edge_itself_wherever_it_listens(listened: str, reached: str) -> None:
    document = render_envoy(replace(PARAMETERS, http_address=listened))
    (group,) = cluster(document, "keys")["load_assignment"]["endpoints"]
    address = group["lb_endpoints"][0]["endpoint"]["address"]["socket_address"]
    assert address == {"address": reached, "port_value": 8000}


def test_the_administration_listens_only_where_it_is_told(document: dict[str, Any]) -> None:
    assert document["admin"]["address"] == {"socket_address": {"address": "127.0.0.1", "port_value": 8001}}


def test_a_workload_without_an_address_is_an_error() -> None:
    services = {name: address for name, address in PARAMETERS.services.items() if name != "storage"}
    with pytest.raises(KeyError, match="storage"):
        render_envoy(replace(PARAMETERS, services=services))


@pytest.mark.parametrize("address", ["8000", "localhost", ":8000", "127.0.0.1:", "127.0.0.1:http", "127.0.0.1:70000"])
def test_an_address_is_a_host_and_a_port(address: str) -> None:
    with pytest.raises(ValueError, match="is not host:port"):
        render_envoy(replace(PARAMETERS, http_address=address))


def test_what_is_written_is_plain_yaml_of_what_was_rendered(tmp_path: Path) -> None:
    parameters = replace(PARAMETERS, access_log=tmp_path / "log" / "access.json")
    path = tmp_path / "gateway" / "envoy.yaml"
    write_envoy(path, parameters)
    assert yaml.safe_load(path.read_text(encoding="utf-8")) == render_envoy(parameters)
    assert parameters.access_log.parent.is_dir()
    assert [each.name for each in path.parent.iterdir()] == ["envoy.yaml"]


def test_envoy_runs_from_its_wheel_with_one_worker() -> None:
    command = envoy_command(Path("/state/envoy.yaml"))
    assert Path(command[0]).is_file()
    assert command[1:3] == ["--config-path", "/state/envoy.yaml"]
    assert "--disable-hot-restart" in command
    assert command[command.index("--concurrency") + 1] == "1"
