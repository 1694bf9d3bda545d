"""The broker's WebSocket server: admits sessions, publishes instants to every client, keeps them awake."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response

from optrading.common.clock import Clock
from optrading.testing.kite.accounts import Account
from optrading.testing.kite.connection import TickerConnection
from optrading.testing.kite.instrument_table import InstrumentTable
from optrading.testing.kite.limits import Limits
from optrading.testing.kite.market import Market
from optrading.testing.kite.packets import HEARTBEAT


class TickerServer:
    """Serves ticks; use as `async with`. Leaving cuts every connection.

    Attributes:
        connections: Open ones, oldest first; half-open ones among them.
        changed: Set whenever a client comes, goes, subscribes or is refused.
        refused: Handshakes that were refused so far.
    """

    def __init__(
        self,
        account: Account,
        instruments: InstrumentTable,
        market: Market,
        clock: Clock,
        limits: Limits,
        *,
        host: str,
        port: int,
        heartbeat_s: float,
        packets_per_frame: int,
    ) -> None:
        """Serve sessions of `account` on `port` of `host`; port 0 takes a free one."""
        self.connections: list[TickerConnection] = []
        self.changed = asyncio.Event()
        self.refused = 0
        self._account = account
        self._instruments = instruments
        self._market = market
        self._clock = clock
        self._limits = limits
        self._host = host
        self._port = port
        self._heartbeat_s = heartbeat_s
        self._packets_per_frame = packets_per_frame
        self._muted: frozenset[int] | None = frozenset()
        self._server: Server | None = None

    @property
    def url(self) -> str:
        """Return where it listens."""
        return f"ws://{self._host}:{self._port}"

    async def __aenter__(self) -> TickerServer:
        """Listen, and begin to send heartbeats.

        Raises:
            OSError: The port is taken.
        """
        # No pings of our own, as the real broker has none, and no compression: frames stay as they are written.
        self._server = await serve(
            self._serve,
            self._host,
            self._port,
            process_request=self._admit,
            ping_interval=None,
            compression=None,
            close_timeout=1.0,
        )
        self._port = next(iter(self._server.sockets)).getsockname()[1]
        self._heart = asyncio.create_task(self._beat(), name="broker heartbeat")
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop listening and cut every connection."""
        self._heart.cancel()
        with suppress(asyncio.CancelledError):
            await self._heart
        for connection in self.connections:
            connection.abort()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    def publish(self) -> None:
        """Send every client what has changed, then begin to note changes anew."""
        for connection in self.connections:
            connection.publish()
        self._market.settle()

    async def flush(self) -> None:
        """Return when every client's messages have been given to TCP."""
        for connection in list(self.connections):
            await connection.flush()

    def mute(self, tokens: frozenset[int] | None) -> None:
        """Let these tokens tick no more, for present and future clients; None is all, an empty set none."""
        self._muted = tokens
        for connection in self.connections:
            connection.muted = tokens

    def heartbeat(self) -> None:
        """Tell every client that the connection is alive."""
        for connection in self.connections:
            connection.put(HEARTBEAT)

    async def _beat(self) -> None:
        while True:
            await self._clock.sleep(self._heartbeat_s)
            self.heartbeat()

    def _admit(self, socket: ServerConnection, request: Request) -> Response | None:
        query = parse_qs(urlsplit(request.path).query)
        api_key, access_token = ((query.get(name) or [""])[0] for name in ("api_key", "access_token"))
        if not self._account.admits(api_key, access_token):
            return self._refuse(socket, HTTPStatus.FORBIDDEN, "Incorrect `api_key` or `access_token`.")
        # A dead one no longer counts: the real broker has noticed by the time that somebody comes again.
        if sum(not connection.half_open for connection in self.connections) >= self._limits.connections:
            return self._refuse(socket, HTTPStatus.TOO_MANY_REQUESTS, "Too many connections")
        return None

    def _refuse(self, socket: ServerConnection, status: HTTPStatus, message: str) -> Response:
        self.refused += 1
        self.changed.set()
        return socket.respond(status, json.dumps({"status": "error", "message": message}) + "\n")

    async def _serve(self, socket: ServerConnection) -> None:
        connection = TickerConnection(
            socket,
            self._instruments,
            self._market,
            self._clock,
            most_tokens=self._limits.tokens,
            packets_per_frame=self._packets_per_frame,
            on_subscribed=self.changed.set,
        )
        connection.muted = self._muted
        self.connections.append(connection)
        self.changed.set()
        try:
            await connection.run()
        finally:
            self.connections.remove(connection)
            self.changed.set()
