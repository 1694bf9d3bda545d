"""A Kite-compatible broker in this process: plays a tape instant by instant, over REST and WebSocket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from optrading.collection.feeds.replay.pace import Pace
from optrading.common.clock import Clock, SystemClock
from optrading.testing.kite.accounts import Account
from optrading.testing.kite.candles import CandleMaker
from optrading.testing.kite.control import Control
from optrading.testing.kite.faults import Faults
from optrading.testing.kite.http_server import HttpServer
from optrading.testing.kite.instrument_table import InstrumentTable
from optrading.testing.kite.limits import Limits
from optrading.testing.kite.market import Market
from optrading.testing.kite.rest import RestApi
from optrading.testing.kite.tape import Tape
from optrading.testing.kite.ticker import TickerServer


class KiteBroker:
    """Use as `async with`: it then shows the first instant of its tape, and the next ones when it is told to.

    Attributes:
        account: Its one user and app.
        instruments: What it lists.
        market: What that is worth now.
        ticker: Its WebSocket side.
        faults: What can be done to its clients.
    """

    def __init__(
        self,
        tape: Tape,
        *,
        account: Account | None = None,
        dump: Path | None = None,
        clock: Clock | None = None,
        limits: Limits | None = None,
        host: str = "127.0.0.1",
        rest_port: int = 0,
        ticker_port: int = 0,
        heartbeat_s: float = 1.0,
        packets_per_frame: int = 500,
    ) -> None:
        """Make a broker that plays `tape`.

        Args:
            tape: What its exchange says.
            account: Its user; made up unless given.
            dump: An instrument dump of the real broker, whose tokens are then used; made up unless given.
            clock: Keeps the pace and the heartbeats.
            limits: What clients may do; the real broker's unless given.
            host: Address it listens on.
            rest_port: Port of REST; 0 takes a free one.
            ticker_port: Port of the WebSocket; 0 takes a free one.
            heartbeat_s: Time between two heartbeats, seconds.
            packets_per_frame: Most ticks in one message.

        Raises:
            OSError: The dump cannot be read.
            ValueError: It is no dump.
        """
        self.account = account or Account()
        self.instruments = InstrumentTable(tape.indices, dump)
        for chain in tape.listed():
            self.instruments.list_chain(chain)
        self.market = Market(self.instruments)
        self._tape = tape
        self._clock = clock or SystemClock()
        limits = limits or Limits()
        self.ticker = TickerServer(
            self.account,
            self.instruments,
            self.market,
            self._clock,
            limits,
            host=host,
            port=ticker_port,
            heartbeat_s=heartbeat_s,
            packets_per_frame=packets_per_frame,
        )
        self.faults = Faults(self.ticker, self.account, self.instruments, self.market, self._clock)
        api = RestApi(
            self.account,
            self.instruments,
            self.market,
            CandleMaker(tape),
            self._clock,
            limits,
            Control(self).answer,
        )
        self._rest = HttpServer(api.answer, host, rest_port)
        self._stack = AsyncExitStack()
        self._position = -1
        self._moved = asyncio.Event()

    @property
    def indices(self) -> tuple[str, ...]:
        """Return the indices it has."""
        return self._tape.indices

    @property
    def rest_url(self) -> str:
        """Return the root of its REST."""
        return self._rest.url

    @property
    def ticker_url(self) -> str:
        """Return the root of its WebSocket."""
        return self.ticker.url

    @property
    def login_url(self) -> str:
        """Return its login page, without the query."""
        return f"{self.rest_url}/connect/login"

    @property
    def position(self) -> int:
        """Return the number of the instant that it shows."""
        return self._position

    @property
    def instant(self) -> datetime:
        """Return the exchange's time: the instant that it shows."""
        return self._tape.instant(self._position)

    @property
    def ended(self) -> bool:
        """Return whether it shows the last instant."""
        return self._tape.count is not None and self._position >= self._tape.count - 1

    @property
    def subscribed_tokens(self) -> frozenset[int]:
        """Return what all its clients together are subscribed to."""
        return frozenset().union(*(connection.tokens for connection in self.ticker.connections))

    async def __aenter__(self) -> Self:
        """Show the first instant and serve.

        Raises:
            OSError: A port is taken.
        """
        self._show(max(self._position, 0))
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self.ticker)
            await stack.enter_async_context(self._rest)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Cut every connection and stop serving."""
        await self._stack.aclose()

    def start_at(self, position: int) -> None:
        """Begin with this instant instead of the first; before it is entered."""
        self._position = position

    async def advance_to(self, position: int) -> None:
        """Show every instant up to `position`, one after the other; each is with the clients' TCP before the next.

        Raises:
            IndexError: The tape ends before.
        """
        while self._position < position:
            self._show(self._position + 1)
            await self.ticker.flush()

    async def play(self, speed: float | None) -> None:
        """Show the instants at the pace of the tape until its end, or for ever.

        Args:
            speed: Times the recorded speed, > 0; None is as fast as clients take them.
        """
        pace = Pace(self._clock, speed)
        await pace.until(self.instant)
        while not self.ended:
            await pace.until(self._tape.instant(self._position + 1))
            self._show(self._position + 1)
            if speed is None:
                await self.ticker.flush()

    async def until_position(self, position: int) -> None:
        """Return when it shows at least this instant, while something else plays it."""
        while self._position < position:
            self._moved.clear()
            await self._moved.wait()

    async def until_clients(self, condition: Callable[[KiteBroker], bool]) -> None:
        """Return when `condition` holds; asked whenever a client comes, goes, subscribes or is refused."""
        while not condition(self):
            self.ticker.changed.clear()
            await self.ticker.changed.wait()

    def _show(self, position: int) -> None:
        for chain in self._tape.chains(position):
            self.market.apply(chain)
        self._position = position
        self.ticker.publish()
        self._moved.set()
