"""What the edge refuses before anybody looks at it, and how it keeps going."""

from __future__ import annotations

import socket

import grpc
import httpx
import pytest

from optrading.collection.v1.collection_service_pb2 import GetChainRequest, WatchChainsRequest
from tests.gateway.answers import grpc_reason_of, reason_of
from tests.gateway.edge import DEADLINE_S, Edge


def raw(edge: Edge, request: str) -> bytes:
    """Send `request` as it is and return the first bytes of the answer."""
    host, port = edge.address.split(":")
    with socket.create_connection((host, int(port)), timeout=DEADLINE_S) as connection:
        connection.sendall(request.encode("latin-1"))
        return connection.recv(65536)


@pytest.mark.parametrize("path", ["/option-chain/NIFTY%2Fstream", "/admin%2fusers", "/health%5C..", "/%2e%2e%2fhealth"])
def test_an_escaped_slash_is_refused(edge: Edge, path: str) -> None:
    response = edge.http.get(path, headers=edge.bearer("read_data"))
    assert reason_of(response, 400, "INVALID_ARGUMENT") == "MALFORMED_REQUEST"


@pytest.mark.parametrize("path", ["/indices/../admin/users", "//admin//users", "/indices/%2e%2e/admin/users"])
def test_a_path_has_the_policy_of_what_it_means(edge: Edge, path: str) -> None:
    request = f"GET {path} HTTP/1.1\r\nhost: g\r\nauthorization: {edge.bearer('read_data')['authorization']}\r\n\r\n"
    assert raw(edge, request).startswith(b"HTTP/1.1 403 ")


def test_a_header_with_an_underscore_is_refused(edge: Edge) -> None:
    response = edge.http.get("/health", headers={"x_optrading_subject": "root"})
    assert reason_of(response, 400, "INVALID_ARGUMENT") == "MALFORMED_REQUEST"


def test_headers_that_are_too_long_or_too_many_are_refused(edge: Edge) -> None:
    long = edge.http.get("/health", headers={"x-long": "a" * 40_000})
    assert reason_of(long, 431, "INVALID_ARGUMENT") == "HEADERS_TOO_LARGE"
    many = edge.http.get("/health", headers={f"x-{number}": "a" for number in range(150)})
    assert reason_of(many, 431, "INVALID_ARGUMENT") == "HEADERS_TOO_LARGE"


def test_a_body_that_is_too_long_is_refused(edge: Edge) -> None:
    with edge.upstreams.recorder.listening() as calls:
        response = edge.http.post("/auth/login", json={"username": "a" * 2_000_000})
    assert reason_of(response, 413, "INVALID_ARGUMENT") == "REQUEST_TOO_LARGE"
    assert calls == []


def test_a_request_with_two_lengths_is_refused(edge: Edge) -> None:
    head = "POST /auth/login HTTP/1.1\r\nhost: g\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n"
    assert raw(edge, head + "0\r\n\r\nGET /indices HTTP/1.1\r\nhost: g\r\n\r\n").startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("index", ["%ff%fe", "%c0%ae", "NIFTY%ed%a0%80"])
def test_text_that_is_not_utf8_is_the_callers_mistake(edge: Edge, index: str) -> None:
    response = edge.http.get(f"/option-chain/{index}", headers=edge.bearer("read_data"))
    assert reason_of(response, 400, "INVALID_ARGUMENT") == "MALFORMED_REQUEST"
    assert "DecodeError" not in response.text


@pytest.mark.parametrize("method", ["GetChain", "WatchChains"])
def test_what_is_no_message_is_the_callers_mistake(edge: Edge, method: str) -> None:
    metadata = list(edge.bearer("read_data").items())
    with edge.channel() as channel:
        call = channel.unary_stream(f"/optrading.collection.v1.CollectionService/{method}")
        with pytest.raises(grpc.RpcError) as caught:
            next(call(b"\xff\xff\xff", metadata=metadata, timeout=DEADLINE_S))
    assert grpc_reason_of(caught.value, grpc.StatusCode.INVALID_ARGUMENT) == "MALFORMED_REQUEST"


def test_a_query_as_long_as_headers_may_be_reaches_the_service(edge: Edge) -> None:
    query = "&".join(f"strike_inr={number}" for number in range(10_000, 11_700))
    assert 28_000 < len(query) < 32_000
    response = edge.http.get(f"/history/NIFTY?{query}", headers=edge.bearer("read_data"))
    assert response.status_code == 200, response.text


def test_a_huge_value_is_refused_and_ends_nobody_elses_stream(edge: Edge) -> None:
    metadata = list(edge.bearer("read_data").items())
    service = "/optrading.collection.v1.CollectionService"
    with edge.channel() as channel, edge.channel() as other:
        watched = channel.unary_stream(f"{service}/WatchChains")(
            WatchChainsRequest(index="ENDLESS").SerializeToString(), metadata=metadata, timeout=2.0
        )
        next(watched)
        huge = GetChainRequest(index="N" * 900_000).SerializeToString()
        with pytest.raises(grpc.RpcError) as caught:
            other.unary_unary(f"{service}/GetChain")(huge, metadata=metadata, timeout=DEADLINE_S)
        assert grpc_reason_of(caught.value, grpc.StatusCode.NOT_FOUND) == "UNKNOWN_INDEX"
        with pytest.raises(grpc.RpcError) as ended:
            next(watched)
    # By its own deadline and by nothing before.
    assert ended.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


def test_the_administration_tells_and_changes_nothing(edge: Edge) -> None:
    address = edge.configuration["admin"]["address"]["socket_address"]
    with httpx.Client(base_url=f"http://{address['address']}:{address['port_value']}", timeout=DEADLINE_S) as admin:
        for path in ("/ready", "/stats?filter=server.live", "/stats/prometheus"):
            assert admin.get(path).status_code == 200
        for path in ("/config_dump", "/certs", "/server_info", "/clusters", "/", "/stats/../config_dump"):
            assert admin.get(path).status_code == 403, path
        for path in ("/quitquitquit", "/healthcheck/fail", "/drain_listeners", "/logging?level=trace", "/cpuprofiler"):
            assert admin.post(path).status_code == 403, path


def test_the_gateway_goes_on_after_all_of_that(edge: Edge) -> None:
    with httpx.Client(base_url=f"http://{edge.address}", timeout=DEADLINE_S) as fresh:
        assert fresh.get("/health").status_code == 200
