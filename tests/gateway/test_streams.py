"""Streams through the gateway: server-sent events, lines of JSON, and how they end."""

from __future__ import annotations

import json
import socket
from typing import Any

import httpx
import pytest

from tests.gateway.answers import reason_of
from tests.gateway.edge import DEADLINE_S, Edge

EVENTS = {"accept": "text/event-stream"}


def events_of(text: str) -> list[Any]:
    """Return what the events of `text` hold, by the rules of the HTML standard for the fields we send."""
    blocks = [block for block in text.split("\n\n") if block]
    assert text.endswith("\n\n")
    assert all(block.startswith("data: ") and "\n" not in block for block in blocks)
    return [json.loads(block.removeprefix("data: ")) for block in blocks]


@pytest.mark.parametrize("path", ["/option-chain/NIFTY/stream", "/v1/option-chain/NIFTY/stream"])
def test_a_stream_is_server_sent_events_for_who_accepts_them(edge: Edge, path: str) -> None:
    response = edge.http.get(path, headers=edge.bearer("read_data") | EVENTS)
    assert response.headers["content-type"] == "text/event-stream"
    chain, heartbeat = events_of(response.text)
    assert chain["chain"]["spot_inr"] == 24521.5
    assert chain["skipped_count"] == "0"
    assert heartbeat["heartbeat"] == {"latest_epoch": "7", "latest_sequence": "1"}


def test_a_browser_that_lists_other_types_too_gets_events(edge: Edge) -> None:
    accept = {"accept": "application/json;q=0.5, Text/Event-Stream"}
    response = edge.http.get("/analytics/NIFTY/stream", headers=edge.bearer("read_data") | accept)
    assert [event["analytics"]["sequence"] for event in events_of(response.text)] == ["1", "2"]


@pytest.mark.parametrize("path", ["/option-chain/NIFTY/stream", "/v1/analytics/NIFTY/stream", "/history/NIFTY"])
def test_a_stream_is_lines_of_json_otherwise(edge: Edge, path: str) -> None:
    response = edge.http.get(path, headers=edge.bearer("read_data"))
    assert response.headers["content-type"] == "application/x-ndjson"
    lines = response.text.splitlines()
    assert len(lines) >= 2
    assert all(isinstance(json.loads(line), dict) for line in lines)


def test_history_is_lines_of_json_for_everybody_since_it_ends(edge: Edge) -> None:
    response = edge.http.get("/history/NIFTY", headers=edge.bearer("read_data") | EVENTS)
    assert response.headers["content-type"] == "application/x-ndjson"
    assert [json.loads(line)["chain"]["sequence"] for line in response.text.splitlines()] == ["1", "2", "3"]


def test_a_position_to_resume_after_reaches_the_service(edge: Edge) -> None:
    query = {"resume_after_sequence": 41, "resume_after_epoch": 7, "delivery": "DELIVERY_LOSSLESS"}
    response = edge.http.get("/option-chain/NIFTY/stream", params=query, headers=edge.bearer("read_data"))
    assert json.loads(response.text.splitlines()[0])["chain"]["sequence"] == "42"


@pytest.mark.parametrize("accept", ["text/event-stream", "*/*"])
def test_what_has_been_sent_arrives_while_the_stream_goes_on(edge: Edge, accept: str) -> None:
    headers = edge.bearer("read_data") | {"accept": accept}
    with edge.http.stream("GET", "/option-chain/ENDLESS/stream", headers=headers) as response:
        first = next(response.iter_lines())
    assert json.loads(first.removeprefix("data: "))["chain"]["index"] == "ENDLESS"


@pytest.mark.parametrize("accept", ["text/event-stream", "*/*"])
def test_a_stream_that_cannot_begin_is_an_error_like_any_other(edge: Edge, accept: str) -> None:
    headers = edge.bearer("read_data") | {"accept": accept}
    response = edge.http.get("/option-chain/GONE/stream", headers=headers)
    assert reason_of(response, 404, "NOT_FOUND") == "UNKNOWN_INDEX"


@pytest.mark.parametrize("accept", ["text/event-stream", "*/*"])
def test_a_stream_needs_a_token(edge: Edge, accept: str) -> None:
    response = edge.http.get("/option-chain/NIFTY/stream", headers={"accept": accept})
    assert reason_of(response, 401, "UNAUTHENTICATED") == "UNAUTHENTICATED"


@pytest.mark.parametrize(("path", "status"), [("/option-chain/AGED/stream", "14"), ("/history/DAMAGED", "15")])
def test_a_stream_that_breaks_says_why_in_its_trailers(edge: Edge, path: str, status: str) -> None:
    head, _, rest = exchange(edge, path).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    trailers = httpx.Headers(
        [tuple(line.split(b": ", 1)) for line in rest.rpartition(b"\r\n0\r\n")[2].split(b"\r\n") if line]
    )
    assert trailers["grpc-status"] == status
    assert trailers["grpc-message"]


def exchange(edge: Edge, path: str) -> bytes:
    """Return all bytes of the answer; no client library of Python shows trailers."""
    token = edge.bearer("read_data")["authorization"]
    request = f"GET {path} HTTP/1.1\r\nhost: gateway\r\nauthorization: {token}\r\nconnection: close\r\n\r\n"
    host, port = edge.address.split(":")
    answer = b""
    with socket.create_connection((host, int(port)), timeout=DEADLINE_S) as connection:
        connection.sendall(request.encode())
        while part := connection.recv(65536):
            answer += part
    return answer
