"""The session that is used now: read from its file, whenever that changes, and never tried again and again in vain."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import structlog

from optrading.collection.feeds.kite.session import KiteSession, SessionFileError, read_session
from optrading.common.clock import Clock

log = structlog.get_logger()

_LOOK_S = 1.0
_LONGEST_RETRY_S = 900.0


class SessionSource:
    """Waits for a session that can be used."""

    def __init__(self, folder: Path, api_key: str, clock: Clock, retry_s: float) -> None:
        """Read the session in `folder`; one that was refused is tried again after `retry_s`, doubling to 15 minutes."""
        self._folder = folder
        self._api_key = api_key
        self._clock = clock
        self._first_retry_s = retry_s
        self._retry_s = retry_s
        self._refused_token = ""
        self._again_at: datetime | None = None

    @property
    def refused(self) -> bool:
        """Return whether the broker refused the last session that was tried."""
        return bool(self._refused_token)

    async def current(self) -> KiteSession:
        """Return a session as soon as there is one that is worth trying."""
        while True:
            session = self.look()
            if session is not None:
                return session
            await self._clock.sleep(_LOOK_S)

    def look(self) -> KiteSession | None:
        """Return the session that is worth trying now; None when somebody has to log in first."""
        try:
            session = read_session(self._folder)
        except SessionFileError as error:
            log.error("session_unreadable", error=str(error))
            return None
        now = self._clock.now()
        if session is None or session.api_key != self._api_key or not session.is_valid(now):
            return None
        refused = session.access_token.get_secret_value() == self._refused_token
        if refused and self._again_at is not None and now < self._again_at:
            return None
        return session

    def refuse(self, session: KiteSession) -> None:
        """Note that the broker refused `session`: it is left alone for a while, a new login is not."""
        token = session.access_token.get_secret_value()
        self._retry_s = (
            min(2 * self._retry_s, _LONGEST_RETRY_S) if self._refused_token == token else self._first_retry_s
        )
        self._refused_token = token
        self._again_at = self._clock.now() + timedelta(seconds=self._retry_s)

    def accept(self) -> None:
        """Note that the broker took the session."""
        self._refused_token, self._again_at, self._retry_s = "", None, self._first_retry_s
