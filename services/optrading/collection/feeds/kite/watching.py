"""Watches the clock for the feed: that the market closes and opens, and that a session will not last until then."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Protocol

import structlog

from optrading.collection.feeds.kite.outflow import Outages
from optrading.collection.feeds.kite.sessions import SessionSource
from optrading.common.clock import Clock
from optrading.common.metrics import SESSION_REFUSALS
from optrading.market.calendar import Session, TradingCalendar
from optrading.market.gaps import GapCause

log = structlog.get_logger()

_LOOK_S = 1.0


class Watched(Protocol):
    """The feed, as the watch sees it."""

    @property
    def indices(self) -> tuple[str, ...]:
        """Return its indices."""
        ...

    @property
    def sessions(self) -> SessionSource:
        """Return where its sessions come from."""
        ...

    @property
    def outages(self) -> Outages:
        """Return what is missing now."""
        ...


class SessionWatch:
    """Says when the market is closed, and in time that somebody must log in before it opens."""

    def __init__(self, feed: Watched, calendar: TradingCalendar | None, clock: Clock, notice_minutes: float) -> None:
        """Watch for `feed`; without a calendar there is nothing to watch."""
        self._feed = feed
        self._calendar = calendar
        self._clock = clock
        self._notice = timedelta(minutes=notice_minutes)
        self._warned_for: Session | None = None

    async def run(self) -> None:
        """Watch until cancelled."""
        if self._calendar is None:
            return
        while True:
            self.look(self._calendar, self._clock.now())
            await self._clock.sleep(_LOOK_S)

    def look(self, calendar: TradingCalendar, now: datetime) -> None:
        """Say what has changed by `now`."""
        coming = calendar.next_session(now)
        if coming.holds(now):
            for index in self._feed.indices:
                self._feed.outages.end(index, GapCause.MARKET_CLOSED, coming.opens)
            return
        last = calendar.last_session(now)
        closed_at = last.closes if last is not None else now
        for index in self._feed.indices:
            self._feed.outages.begin(index, GapCause.MARKET_CLOSED, closed_at, f"closed until {coming.opens:%FT%TZ}")
        if now >= coming.opens - self._notice and self._warned_for != coming:
            self._check_session(coming, now)

    def _check_session(self, coming: Session, now: datetime) -> None:
        session = self._feed.sessions.look()
        if session is not None and session.is_valid(coming.opens):
            return
        self._warned_for = coming
        SESSION_REFUSALS.inc()
        log.error("session_ends_before_open", opens=coming.opens.isoformat(), remedy="optrading kite login")
        for index in self._feed.indices:
            detail = "nobody is logged in for the coming session; run `optrading kite login`"
            self._feed.outages.begin(index, GapCause.SESSION_REFUSED, now, detail)
