"""A small HTTP/1.1 server: requests with a body of known length, answers in one piece, connections kept open."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit

_LONGEST_BODY = 1 << 20
_IDLE_S = 60.0
"""A client that says nothing for so long is forgotten."""
_WORTH_PACKING = 1000
"""Bytes; below this an answer is not compressed."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asks.

    Attributes:
        method: Such as `GET`.
        path: Without the query.
        query: Every value of every parameter of the query.
        form: Likewise of the body, when it is a form.
        headers: Names in lower case.
    """

    method: str
    path: str
    query: Mapping[str, list[str]]
    form: Mapping[str, list[str]]
    headers: Mapping[str, str]

    def value(self, name: str, default: str = "") -> str:
        """Return the first value of a parameter, of the form before the query."""
        return (self.form.get(name) or self.query.get(name) or [default])[0]


@dataclass(frozen=True, slots=True)
class Answer:
    """What it is answered.

    Attributes:
        status: HTTP status.
        body: Content.
        content_type: Its media type.
        headers: Further headers.
    """

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


Handler = Callable[[Request], Awaitable[Answer]]


class HttpServer:
    """Serves one handler; use as `async with`. Leaving cuts every connection."""

    def __init__(self, handler: Handler, host: str, port: int) -> None:
        """Serve `handler` on `port` of `host`; port 0 takes a free one."""
        self._handler = handler
        self._host = host
        self._port = port
        self._connections: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """Return where it listens."""
        return f"http://{self._host}:{self._port}"

    async def __aenter__(self) -> HttpServer:
        """Listen.

        Raises:
            OSError: The port is taken.
        """
        self._server = await asyncio.start_server(self._accept, self._host, self._port)
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop listening and cut every connection."""
        self._server.close()
        for connection in self._connections:
            connection.cancel()
        if self._connections:
            await asyncio.wait(self._connections)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # The streams' own task of a connection: asyncio hands it to nobody else.
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            await self._serve(reader, writer)
        except (OSError, EOFError, ValueError, TimeoutError, asyncio.CancelledError):
            pass  # the client left, or said what is no HTTP, or the server ends: there is nobody to tell
        finally:
            self._connections.discard(task)
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            async with asyncio.timeout(_IDLE_S):
                request = await _read_request(reader)
            if request is None:
                return
            answer = await self._handler(request)
            writer.write(_packed(answer, request))
            await writer.drain()


async def _read_request(reader: asyncio.StreamReader) -> Request | None:
    """Read one request; None when the client has closed.

    Raises:
        ValueError: It is no HTTP, or longer than it may be.
        EOFError: It is cut short.
    """
    line = await reader.readline()
    if not line:
        return None
    method, target, _ = line.decode("latin-1").split()
    headers: dict[str, str] = {}
    while (header := (await reader.readline()).decode("latin-1").strip()) != "":
        name, _, value = header.partition(":")
        headers[name.lower()] = value.strip()
    length = int(headers.get("content-length", "0"))
    if not 0 <= length <= _LONGEST_BODY:
        raise ValueError(f"a body of {length} bytes")
    body = await reader.readexactly(length)
    is_form = headers.get("content-type", "").startswith("application/x-www-form-urlencoded")
    url = urlsplit(target)
    form = parse_qs(body.decode(), keep_blank_values=True) if is_form else {}
    return Request(method, url.path, parse_qs(url.query, keep_blank_values=True), form, headers)


def _packed(answer: Answer, request: Request) -> bytes:
    body, headers = answer.body, dict(answer.headers)
    if len(body) >= _WORTH_PACKING and "gzip" in request.headers.get("accept-encoding", ""):
        body, headers["Content-Encoding"] = gzip.compress(body, 1), "gzip"
    lines = [
        f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}",
        f"Content-Type: {answer.content_type}",
        f"Content-Length: {len(body)}",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body
