"""The Kite feed: ticks of every wanted contract over a few connections, cut into chains; see feeds.base.Feed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Self

import structlog

from optrading.collection.feeds.base import FeedItem
from optrading.collection.feeds.kite.connection import TickerConnection
from optrading.collection.feeds.kite.history import KiteHistory
from optrading.collection.feeds.kite.listing import KiteListing
from optrading.collection.feeds.kite.market import KiteMarket
from optrading.collection.feeds.kite.outflow import Outages, Outflow
from optrading.collection.feeds.kite.packets import Ticks
from optrading.collection.feeds.kite.sessions import SessionSource
from optrading.collection.feeds.kite.settings import KiteSettings
from optrading.collection.feeds.kite.watching import SessionWatch
from optrading.common.clock import Clock
from optrading.common.metrics import SESSION_REFUSALS
from optrading.market.calendar import TradingCalendar
from optrading.market.chain import Chain
from optrading.market.gaps import GapCause
from optrading.market.window import WindowShape

log = structlog.get_logger()


class KiteFeed:
    """Collects live ticks. Its event times are the exchange's, in whole seconds."""

    name = "kite"
    identity = "kite"

    def __init__(
        self,
        settings: KiteSettings,
        *,
        clock: Clock,
        calendar: TradingCalendar | None,
        cut_interval_s: float,
        window: WindowShape,
    ) -> None:
        """Make the feed; nothing is asked of the broker before it is opened.

        Args:
            settings: Who we are, and where the broker is.
            clock: Dates `receive_time`, and waits.
            calendar: When the market is open; None where the broker plays a recorded day.
            cut_interval_s: Time between two chains of an index, seconds of the exchange's clock; at least one.
            window: Which strikes are active; the feed subscribes a little more.
        """
        self._settings = settings
        self._clock = clock
        self._calendar = calendar
        self._outflow = Outflow()
        self._outages = Outages(self._outflow)
        self._sessions = SessionSource(
            settings.kite_folder(), settings.kite_api_key, clock, settings.kite_refused_retry_s
        )
        self._listing = KiteListing(settings, self._sessions, clock)
        self._market = KiteMarket(settings, clock, cut_interval_s, window)
        self._history = KiteHistory(settings, self._sessions, self._market, clock)
        self._watch = SessionWatch(self, calendar, clock, settings.kite_expiry_notice_minutes)
        self._connections = [
            TickerConnection(
                number,
                settings.kite_ticker_url,
                settings.kite_mode,
                self._sessions,
                self,
                clock,
                settings.kite_silence_s,
                settings.kite_longest_retry_s,
            )
            for number in range(settings.kite_connections)
        ]
        self._down: set[int] = set()
        self._resume: Mapping[str, datetime] = {}
        self._last: dict[str, datetime] = {}
        self._running: asyncio.Task[None] | None = None

    @property
    def indices(self) -> tuple[str, ...]:
        """Return the indices this feed brings."""
        return self._settings.kite_symbols()

    @property
    def sessions(self) -> SessionSource:
        """Return where sessions come from."""
        return self._sessions

    @property
    def outages(self) -> Outages:
        """Return what is missing now."""
        return self._outages

    def select(self, indices: Collection[str]) -> None:
        """Subscribe only to the contracts of these from now on."""
        self._market.select(indices)
        self._subscribe()

    async def chains(self, resume: Mapping[str, datetime]) -> AsyncIterator[FeedItem]:
        """Yield what comes; chains up to the instants of `resume` are left out."""
        self._resume = dict(resume)
        if self._running is None:
            self._running = asyncio.create_task(self._run(), name="kite")
            self._running.add_done_callback(self._ended)
        while True:
            yield await self._outflow.get()

    async def history(self, index: str, since: datetime, until: datetime) -> Sequence[Chain]:
        """Return a chain a minute of the legs nearest to the money, without quotes and volumes."""
        return await self._history.read(index, since, until)

    def last_event_time(self, index: str) -> datetime:
        """Return the event time of the last chain of `index`; the present before the first."""
        return self._last.get(index) or self._resume.get(index) or self._clock.now()

    # What connections tell; see connection.TickerEvents.

    def on_ticks(self, number: int, ticks: Ticks) -> None:
        """Take a frame."""
        for chain in self._market.take(ticks, self._clock.now()):
            self._emit(chain)

    def on_up(self, number: int) -> None:
        """Learn that a connection is there."""
        self._down.discard(number)
        log.info("ticker_connected", connection=number)

    def on_down(self, number: int, reason: str) -> None:
        """Learn that a connection is gone: what it carried is missing from now on."""
        self._flush(everything=True)
        self._down.add(number)
        for index in self._market.lose(number):
            self._outages.begin(index, GapCause.DISCONNECT, self.last_event_time(index), f"connection lost: {reason}")

    def on_garbage(self, number: int, reason: str) -> None:
        """Learn that a frame could not be read: nobody knows what was in it."""
        self._flush(everything=True)
        for index in self._market.carried(number):
            self._outages.begin(index, GapCause.FEED_ERROR, self.last_event_time(index), reason)

    def on_refused(self, reason: str) -> None:
        """Learn that somebody must log in."""
        SESSION_REFUSALS.inc()
        log.error("session_refused", reason=reason, remedy="optrading kite login")
        for index in self._market.selected:
            self._outages.begin(index, GapCause.SESSION_REFUSED, self.last_event_time(index), reason)

    def _emit(self, chain: Chain) -> None:
        """Hand out a chain, unless its time was no market's, or it is durable already."""
        if self._calendar is not None:
            session = self._calendar.last_session(chain.event_time)
            if session is None or chain.event_time > session.closes:
                return
        last = self._resume.get(chain.index)
        if last is not None and chain.event_time <= last:
            return
        if chain.index not in self._last and not chain.leg_count():
            # The index itself comes first; the legs around its value are subscribed next. This is no chain yet.
            if self._market.follow_money(chain):
                self._subscribe()
            return
        carried = self._market.links_of(chain.index)
        for cause in list(self._outages.of(chain.index)):
            if cause is GapCause.MARKET_CLOSED or (cause is GapCause.DISCONNECT and carried & self._down):
                continue
            self._outages.end(chain.index, cause, chain.event_time)
        self._last[chain.index] = chain.event_time
        self._outflow.put(chain)
        if self._market.follow_money(chain):
            self._subscribe()

    def _flush(self, *, everything: bool = False) -> None:
        for chain in self._market.flush(self._clock.now(), everything=everything):
            self._emit(chain)

    def _subscribe(self) -> None:
        for connection, tokens in zip(self._connections, self._market.allocate(), strict=True):
            connection.want(tokens)

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for connection in self._connections:
                tasks.create_task(connection.run())
            tasks.create_task(self._flush_without_end())
            tasks.create_task(self._refresh_without_end())
            tasks.create_task(self._watch.run())

    async def _flush_without_end(self) -> None:
        while True:
            await self._clock.sleep(self._market.cut_s / 2)
            self._flush()

    async def _refresh_without_end(self) -> None:
        """Look for strikes that were newly listed, and for the next day's contracts."""
        while True:
            await self._clock.sleep(self._settings.kite_instrument_refresh_s)
            listing = await self._listing.refresh()
            if listing is not None and self._market.learn(listing):
                log.info("instruments_changed", day=listing.day)
                self._subscribe()

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._outflow.fail(error)

    async def __aenter__(self) -> Self:
        """Learn what is listed: from the broker, or as it was known last.

        Raises:
            FeedError: Nothing is known, and the broker cannot be asked.
        """
        self._market.learn(await self._listing.load())
        self.select(self.indices)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait([self._running])
        await self._listing.close()
