"""What the broker lists today: asked once a day and kept, asked again for strikes that are new."""

from __future__ import annotations

import asyncio
from typing import Any

import structlog

from optrading.collection.feeds.base import FeedError
from optrading.collection.feeds.kite.archive import InstrumentArchive, Listing
from optrading.collection.feeds.kite.rest import BrokerError, KiteRest
from optrading.collection.feeds.kite.sessions import SessionSource
from optrading.collection.feeds.kite.settings import KiteSettings
from optrading.common.clock import Clock
from optrading.market.clock import trading_date

log = structlog.get_logger()

_EXCHANGES = ("NFO", "BFO", "NSE", "BSE")
"""Options of both exchanges, and their indices."""


class KiteListing:
    """Asks the broker in a thread, and the archive where the broker cannot be asked."""

    def __init__(self, settings: KiteSettings, sessions: SessionSource, clock: Clock) -> None:
        """Ask as whoever is logged in."""
        self._settings = settings
        self._sessions = sessions
        self._clock = clock
        self._archive = InstrumentArchive(settings.kite_folder())

    async def load(self) -> Listing:
        """Return what is listed today, or was when it was known last.

        Raises:
            FeedError: Nothing is known, and the broker cannot be asked.
        """
        today = trading_date(self._clock.now())
        kept = await asyncio.to_thread(self._archive.load, today)
        if kept is not None and kept.day == today:
            return kept
        try:
            return await self._ask()
        except BrokerError as error:
            if kept is None:
                raise FeedError(f"the list of instruments is not known: {error}") from None
            log.warning("instruments_not_renewed", known_of=kept.day, error=str(error))
            return kept

    async def refresh(self) -> Listing | None:
        """Return what the broker lists now; None when it cannot be asked."""
        try:
            return await self._ask()
        except FeedError as error:
            log.warning("instruments_not_renewed", error=str(error))
            return None

    async def close(self) -> None:
        """Release what is held: nothing."""

    async def _ask(self) -> Listing:
        session = self._sessions.look()
        if session is None:
            raise BrokerError("nobody is logged in; run `optrading kite login`")
        rest = await asyncio.to_thread(KiteRest, self._settings.kite_rest_url, session.api_key, session.access_token)
        rows: list[dict[str, Any]] = []
        for exchange in _EXCHANGES:
            rows += await asyncio.to_thread(rest.instruments, exchange)
        return await asyncio.to_thread(self._archive.save, trading_date(self._clock.now()), rows)
