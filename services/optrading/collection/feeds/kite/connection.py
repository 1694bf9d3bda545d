"""One WebSocket to the broker: connected, subscribed and watched, and connected again, for as long as it is wanted."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection, Iterator
from typing import Protocol
from urllib.parse import urlencode

import structlog
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus, WebSocketException

from optrading.collection.feeds.kite.packets import FrameError, Ticks, decode_frame
from optrading.collection.feeds.kite.session import KiteSession
from optrading.collection.feeds.kite.sessions import SessionSource
from optrading.common.backoff import Backoff
from optrading.common.clock import Clock

log = structlog.get_logger()

_FIRST_RETRY_S = 0.5
_OPEN_S = 10.0
_CLOSE_S = 1.0
_FORBIDDEN = 403
_TOKENS_PER_MESSAGE = 500
_LONGEST_FRAME = 2**22
"""3,000 full packets in one frame are half a megabyte."""


class TickerEvents(Protocol):
    """Who hears what happens on a connection; every call returns at once."""

    def on_ticks(self, number: int, ticks: Ticks) -> None:
        """Take the ticks of a frame."""
        ...

    def on_up(self, number: int) -> None:
        """Learn that the connection is there and subscribed."""
        ...

    def on_down(self, number: int, reason: str) -> None:
        """Learn that the connection is gone, in a few words."""
        ...

    def on_garbage(self, number: int, reason: str) -> None:
        """Learn that a frame could not be read: what it told is lost."""
        ...

    def on_refused(self, reason: str) -> None:
        """Learn that the broker refused the session."""
        ...


class TickerConnection:
    """A connection that keeps itself."""

    def __init__(
        self,
        number: int,
        url: str,
        mode: str,
        sessions: SessionSource,
        events: TickerEvents,
        clock: Clock,
        silence_s: float,
        longest_retry_s: float,
    ) -> None:
        """Prepare connection `number` to the ticker at `url`; nothing is connected before tokens are wanted."""
        self._number = number
        self._url = url
        self._mode = mode
        self._sessions = sessions
        self._events = events
        self._silence_s = silence_s
        self._backoff = Backoff(clock, _FIRST_RETRY_S, longest_retry_s)
        self._wanted: frozenset[int] = frozenset()
        self._subscribed: set[int] = set()
        self._changed = asyncio.Event()

    def want(self, tokens: frozenset[int]) -> None:
        """Carry exactly `tokens` from now on."""
        if tokens != self._wanted:
            self._wanted = tokens
            self._changed.set()

    async def run(self) -> None:
        """Stay connected until cancelled, while there are tokens to carry."""
        while True:
            while not self._wanted:
                self._changed.clear()
                await self._changed.wait()
            session = await self._sessions.current()
            reason = await self._use(session)
            log.warning("ticker_lost", connection=self._number, reason=reason)
            await self._backoff.wait()

    async def _use(self, session: KiteSession) -> str:
        """Connect once and read to the end; return why it ended."""
        query = {"api_key": session.api_key, "access_token": session.access_token.get_secret_value()}
        try:
            async with connect(
                f"{self._url}?{urlencode(query)}",
                compression=None,
                open_timeout=_OPEN_S,
                close_timeout=_CLOSE_S,
                max_size=_LONGEST_FRAME,
            ) as socket:
                return await self._keep(socket)
        except InvalidStatus as error:
            status = error.response.status_code
            if status == _FORBIDDEN:
                self._sessions.refuse(session)
                self._events.on_refused("the broker refused the session (403)")
                return "session refused"
            return f"HTTP {status}"
        except (OSError, WebSocketException, TimeoutError) as error:
            # Never the text alone: it may hold the address, and with it the token.
            return type(error).__name__

    async def _keep(self, socket: ClientConnection) -> str:
        self._subscribed.clear()
        self._changed.set()
        subscribing = asyncio.create_task(self._subscribe(socket), name=f"subscriptions {self._number}")
        reason = "closed"
        try:
            reason = await self._read(socket)
        except WebSocketException as error:
            reason = f"closed ({type(error).__name__})"
        finally:
            subscribing.cancel()
            await asyncio.wait([subscribing])
            self._events.on_down(self._number, reason)
        return reason

    async def _read(self, socket: ClientConnection) -> str:
        heard = False
        while True:
            try:
                async with asyncio.timeout(self._silence_s):
                    message = await socket.recv()
            except TimeoutError:
                return f"nothing heard for {self._silence_s:g} s"
            if not heard:
                heard = True
                self._sessions.accept()
                self._backoff.reset()
                self._events.on_up(self._number)
            if isinstance(message, str):
                self._hear(message)
                continue
            try:
                ticks = decode_frame(message)
            except FrameError as error:
                self._events.on_garbage(self._number, str(error))
                continue
            if ticks.refused:
                self._events.on_garbage(self._number, f"{ticks.refused} packets of unknown length")
            if len(ticks):
                self._events.on_ticks(self._number, ticks)

    async def _subscribe(self, socket: ClientConnection) -> None:
        """Tell the broker what is wanted, now and whenever it changes."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            wanted = self._wanted
            for tokens in _pieces(self._subscribed - wanted):
                await socket.send(json.dumps({"a": "unsubscribe", "v": tokens}))
            for tokens in _pieces(wanted - self._subscribed):
                await socket.send(json.dumps({"a": "subscribe", "v": tokens}))
                await socket.send(json.dumps({"a": "mode", "v": [self._mode, tokens]}))
            self._subscribed = set(wanted)

    def _hear(self, text: str) -> None:
        """Take a text message: errors and notices of the broker; order updates are somebody else's."""
        try:
            message = json.loads(text)
            kind = message.get("type") if isinstance(message, dict) else None
        except ValueError:
            kind, message = None, None
        if kind == "error":
            log.error("broker_error", connection=self._number, text=str(message.get("data"))[:200])
        elif kind == "message":
            log.info("broker_message", connection=self._number, text=str(message.get("data"))[:200])
        else:
            log.debug("broker_text", connection=self._number, kind=str(kind))


def _pieces(tokens: Collection[int]) -> Iterator[list[int]]:
    ordered = sorted(tokens)
    for start in range(0, len(ordered), _TOKENS_PER_MESSAGE):
        yield ordered[start : start + _TOKENS_PER_MESSAGE]
