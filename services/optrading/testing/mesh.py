"""A whole running mesh for tests, and a client that speaks to it as a user's program would: HTTP, JSON, events."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http.client import HTTPResponse
from pathlib import Path
from typing import Any

from optrading.local.credentials import Credentials
from optrading.local.mesh import Mesh
from optrading.local.options import MeshOptions

READY_S = 90.0
"""A loaded machine that runs several meshes at once takes this long at the very worst."""

_CALL_S = 20.0


@asynccontextmanager
async def running_mesh(
    home: Path,
    *,
    feed: str = "synthetic",
    recording: Path | None = None,
    speed: str = "1",
    environment: Mapping[str, str] | None = None,
) -> AsyncIterator[Mesh]:
    """Run a mesh on free ports while the block runs; it serves when the block begins.

    Args:
        home: Folder for its state.
        feed: `synthetic` or `replay`.
        recording: For `replay`.
        speed: For `replay`: how many times faster than recorded, or `max`.
        environment: Settings of the services, over those of this process's own environment.

    Raises:
        StartError: It does not come to serve.
    """
    options = MeshOptions(home, feed, recording, speed, http_port=0, environment=environment or {})
    async with Mesh(options) as mesh:
        await mesh.wait_ready(READY_S)
        yield mesh


@dataclass(frozen=True, slots=True)
class Answer:
    """What the gateway answered.

    Attributes:
        status: HTTP status.
        headers: Names in lower case.
        body: As it came.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the body as JSON.

        Raises:
            ValueError: It is none.
        """
        return json.loads(self.body)


class MeshClient:
    """Calls the gateway over HTTP; whatever the status, the answer comes back as it is."""

    def __init__(self, credentials: Credentials) -> None:
        """Speak to the gateway that the credentials name; without a token until `login`."""
        self._credentials = credentials
        self.token = ""

    async def login(self) -> Answer:
        """Log in, keep the token for later calls, and return the answer."""
        user = self._credentials
        answer = await self.post("/auth/login", {"username": user.username, "password": user.password})
        if answer.status == 200:
            self.token = answer.json()["access_token"]
        return answer

    async def get(self, path: str, *, token: str | None = None, accept: str = "application/json") -> Answer:
        """Return the answer to GET `path`.

        Args:
            path: With the query.
            token: Instead of the one of the login; empty sends none.
            accept: Media type asked for.
        """
        return await asyncio.to_thread(self._send, self._request(path, None, token, accept))

    async def post(self, path: str, body: object, *, token: str | None = None) -> Answer:
        """Return the answer to POST `path` with `body` as JSON; for `token` see `get`."""
        request = self._request(path, json.dumps(body).encode(), token, "application/json")
        return await asyncio.to_thread(self._send, request)

    async def stream(
        self, path: str, *, accept: str = "text/event-stream", token: str | None = None
    ) -> AsyncGenerator[Any, None]:
        """Yield the messages of a stream, each parsed from JSON; close it (`aclosing`) to end the stream.

        Args:
            path: With the query.
            accept: `text/event-stream`, or `application/x-ndjson` for a line per message.
            token: See `get`.

        Raises:
            OSError: The stream is refused (`urllib.error.HTTPError`) or breaks.
            ValueError: A message is no JSON.
        """
        request = self._request(path, None, token, accept)
        response = await asyncio.to_thread(_open, request)
        try:
            events = "event-stream" in response.headers.get_content_type()
            while line := await asyncio.to_thread(response.readline):
                text = line.decode().strip()
                if events and text.startswith("data:"):
                    yield json.loads(text.removeprefix("data:"))
                elif not events and text:
                    yield json.loads(text)
        finally:
            response.close()

    def _request(self, path: str, body: bytes | None, token: str | None, accept: str) -> urllib.request.Request:
        headers = {"Accept": accept}
        if body is not None:
            headers["Content-Type"] = "application/json"
        if bearer := self.token if token is None else token:
            headers["Authorization"] = f"Bearer {bearer}"
        return urllib.request.Request(self._credentials.url + path, data=body, headers=headers)  # noqa: S310  # our URL

    def _send(self, request: urllib.request.Request) -> Answer:
        try:
            response = _open(request)
        except urllib.error.HTTPError as error:
            with error:
                return _answer(error.code, error.headers, error.read())
        with response:
            return _answer(response.status, response.headers, response.read())


def _open(request: urllib.request.Request) -> HTTPResponse:
    response = urllib.request.urlopen(request, timeout=_CALL_S)  # noqa: S310  # our URL
    assert isinstance(response, HTTPResponse)
    return response


def _answer(status: int, headers: Any, body: bytes) -> Answer:
    return Answer(status, {name.lower(): value for name, value in headers.items()}, body)
