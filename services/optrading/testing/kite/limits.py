"""What the real broker allows: connections, tokens, requests per second."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from optrading.testing.kite.accounts import Refused


@dataclass(frozen=True, slots=True)
class Limits:
    """Kite Connect's limits of one app, as documented; a test may have others.

    Attributes:
        connections: Most WebSocket connections at a time.
        tokens: Most instruments that one connection subscribes to.
        quotes_per_s: Most requests for quotes.
        candles_per_s: Most requests for candles.
        others_per_s: Most other requests.
        quoted_instruments: Most instruments in one request for quotes.
        candle_days: Longest interval of one request for minute candles, days.
    """

    connections: int = 3
    tokens: int = 3000
    quotes_per_s: int = 1
    candles_per_s: int = 3
    others_per_s: int = 10
    quoted_instruments: int = 500
    candle_days: int = 60


class Throttle:
    """Counts requests of one kind within the last second."""

    def __init__(self, most_per_s: int) -> None:
        """Allow so many in any second."""
        self._most = most_per_s
        self._times: deque[float] = deque()

    def admit(self, now_s: float) -> None:
        """Count a request at `now_s`, seconds of any clock that does not go back.

        Raises:
            Refused: There were too many; this one does not count.
        """
        while self._times and self._times[0] <= now_s - 1.0:
            self._times.popleft()
        if len(self._times) >= self._most:
            raise Refused(429, "NetworkException", "Too many requests")
        self._times.append(now_s)
