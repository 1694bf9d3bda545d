"""What the edge refuses before anybody looks at it, and how it keeps going."""

from __future__ import annotations

import socket

import httpx
import pytest

from tests.gateway.answers import reason_of
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


def test_the_gateway_goes_on_after_all_of_that(edge: Edge) -> None:
    with httpx.Client(base_url=f"http://{edge.address}", timeout=DEADLINE_S) as fresh:
        assert fresh.get("/health").status_code == 200
