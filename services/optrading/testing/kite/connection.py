"""One client of the broker's WebSocket: what it subscribed to, what is on its way to it, and what is wrong with it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from optrading.common.clock import Clock
from optrading.testing.kite.instrument_table import InstrumentTable
from optrading.testing.kite.instruments import INDEX_SEGMENT
from optrading.testing.kite.market import Market, Rows
from optrading.testing.kite.packets import Mode, encode_packets, frames

_QUEUE = 4096
"""Messages on their way to one client; one that lags further behind is cut off, as by the real broker."""
_NO_ROWS: Rows = np.zeros(0, dtype=np.intp)


class TickerConnection:
    """Belongs to one WebSocket; `run` serves it until it closes.

    Attributes:
        delay_s: Wait before each message, seconds: a slow line.
        duplicating: Whether every message with ticks is sent twice.
        muted: Tokens that do not tick; None for all. Shared by all connections.
    """

    def __init__(
        self,
        socket: ServerConnection,
        instruments: InstrumentTable,
        market: Market,
        clock: Clock,
        *,
        most_tokens: int,
        packets_per_frame: int,
        on_subscribed: Callable[[], None],
    ) -> None:
        """Serve `socket` with ticks of `market`; `on_subscribed` is called whenever its subscriptions change."""
        self.delay_s = 0.0
        self.duplicating = False
        self.muted: frozenset[int] | None = frozenset()
        self._socket = socket
        self._instruments = instruments
        self._market = market
        self._clock = clock
        self._most_tokens = most_tokens
        self._packets_per_frame = packets_per_frame
        self._on_subscribed = on_subscribed
        self._modes: dict[int, Mode] = {}
        self._rows = _NO_ROWS
        self._behind: set[int] = set()  # rows that changed while they were muted
        self._queue: asyncio.Queue[str | bytes | None] = asyncio.Queue(_QUEUE)
        self._reordering = False
        self._held: list[bytes] = []
        self._half_open = False
        self._closed = False

    @property
    def tokens(self) -> frozenset[int]:
        """Return what it is subscribed to."""
        return frozenset(self._instruments[row].token for row in self._modes)

    @property
    def half_open(self) -> bool:
        """Return whether nothing goes either way any more."""
        return self._half_open

    async def run(self) -> None:
        """Serve until the client or a fault closes the connection."""
        sender = asyncio.create_task(self._send_all(), name="ticker sender")
        try:
            async for message in self._socket:
                self._handle(message)
        except ConnectionClosed:
            pass  # without a closing handshake: as much an end as one with it
        finally:
            self._closed = True
            sender.cancel()
            await asyncio.wait((sender,))
            while not self._queue.empty():  # who waits for all to be sent waits no longer
                self._queue.get_nowait()
                self._queue.task_done()

    def publish(self) -> None:
        """Send what has changed in the market and is subscribed to."""
        rows = self._rows[self._market.changed[self._rows]]
        if self._behind:
            rows = np.union1d(rows, np.array(sorted(self._behind), dtype=np.intp))
            self._behind.clear()
        messages = self._messages(rows)
        if self._reordering:
            self._reordering, self._held = False, messages
            return
        messages, self._held = [*messages, *self._held], []
        for message in messages:
            self.put(message)
            if self.duplicating:
                self.put(message)

    def put(self, message: str | bytes | None) -> None:
        """Send a message after those that are on their way, or close (None); who lags too far behind is cut off."""
        if self._closed or self._half_open:
            return
        if self._queue.full():
            self.abort()
            return
        self._queue.put_nowait(message)

    def hold_next(self) -> None:
        """Send what is published next only after what is published then."""
        self._reordering = True

    def stop_holding(self) -> None:
        """Send what is held, now."""
        self._reordering = False
        for message in self._held:
            self.put(message)
        self._held = []

    def become_half_open(self) -> None:
        """Neither send nor read from now on, and keep TCP: what a dead network looks like from the other end."""
        self._half_open = True
        self._socket.transport.pause_reading()

    def abort(self) -> None:
        """Cut TCP without a word."""
        self._socket.transport.abort()

    def say_goodbye(self) -> None:
        """Close with a closing handshake, after what is on its way."""
        self.put(None)

    async def flush(self) -> None:
        """Return when all that was put has been given to TCP, or can no longer be."""
        if not self._half_open:
            await self._queue.join()

    async def _send_all(self) -> None:
        while True:
            message = await self._queue.get()
            try:
                if self.delay_s:
                    await self._clock.sleep(self.delay_s)
                if message is None:
                    await self._socket.close(1001, "going away")
                elif not self._half_open:
                    await self._socket.send(message)
            except ConnectionClosed:
                pass  # `run` sees it, too
            finally:
                self._queue.task_done()

    def _handle(self, message: str | bytes) -> None:
        try:
            request = json.loads(message)
            action, value = request["a"], request["v"]
            if action == "subscribe":
                self._subscribe([int(token) for token in value])
            elif action == "unsubscribe":
                self._unsubscribe([int(token) for token in value])
            elif action == "mode":
                self._set_mode(Mode[str(value[0]).upper()], [int(token) for token in value[1]])
            else:
                self._complain(f"unknown action {action!r}")
        except (ValueError, KeyError, TypeError, IndexError):
            self._complain("the message cannot be read")

    def _complain(self, text: str) -> None:
        self.put(json.dumps({"type": "error", "data": text}))

    def _known(self, tokens: Iterable[int]) -> list[int]:
        return [row for token in tokens if (row := self._instruments.row_of_token(token)) is not None]

    def _subscribe(self, tokens: Sequence[int]) -> None:
        rows = [row for row in self._known(tokens) if row not in self._modes]
        room = self._most_tokens - len(self._modes)
        if len(rows) > room:
            self._complain(f"at most {self._most_tokens} instruments per connection")
            rows = rows[:room]
        self._modes.update(dict.fromkeys(rows, Mode.QUOTE))
        self._show(rows)

    def _unsubscribe(self, tokens: Sequence[int]) -> None:
        for row in self._known(tokens):
            self._modes.pop(row, None)
            self._behind.discard(row)
        self._show(())

    def _set_mode(self, mode: Mode, tokens: Sequence[int]) -> None:
        rows = [row for row in self._known(tokens) if self._modes.get(row, mode) is not mode]
        self._modes.update(dict.fromkeys(rows, mode))
        self._show(rows)

    def _show(self, rows: Sequence[int]) -> None:
        """Take the subscriptions as they are now, and send the present of `rows`."""
        self._rows = np.array(sorted(self._modes), dtype=np.intp)
        self._market.make_room()
        for message in self._messages(np.array(rows, dtype=np.intp)):
            self.put(message)
        self._on_subscribed()

    def _messages(self, rows: Rows) -> list[bytes]:
        audible = [row for row in rows.tolist() if self._is_audible(row)]
        packets: list[bytes] = []
        for mode in Mode:
            for index in (False, True):
                chosen = [row for row in audible if self._modes[row] is mode and self._is_index(row) is index]
                if chosen:
                    values = self._market.values(np.array(chosen, dtype=np.intp))
                    packets += encode_packets(values, mode, index=index)
        return list(frames(packets, self._packets_per_frame))

    def _is_audible(self, row: int) -> bool:
        if self.muted is not None and self._instruments[row].token not in self.muted:
            return True
        self._behind.add(row)
        return False

    def _is_index(self, row: int) -> bool:
        return self._instruments[row].token & 0xFF == INDEX_SEGMENT
