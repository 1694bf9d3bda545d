"""Notices what a feed does not say by itself: that chains are late, empty, or that nobody collected for a while."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from optrading.market.calendar import TradingCalendar
from optrading.market.chain import Chain
from optrading.market.gaps import GapCause, Interruption


@dataclass(slots=True)
class _Seen:
    """What was last seen of one index.

    Attributes:
        event_time: Event time of its last chain that held something; the watch's beginning before the first.
        heard: When that came.
        fresh: Whether a chain came in this term, or there never was one before it.
        late: The late gap that is open.
        empty: The gap of empty chains that is open.
    """

    event_time: datetime
    heard: datetime
    fresh: bool = False
    late: Interruption | None = None
    empty: Interruption | None = None


class GapWatch:
    """Watches the chains of live feeds; without a calendar (a recording) it sees only empty ones."""

    def __init__(self, calendar: TradingCalendar | None, gap_after: timedelta) -> None:
        """Allow so much time of an open market between two chains."""
        self._calendar = calendar
        self._gap_after = gap_after
        self._seen: dict[str, _Seen] = {}

    @property
    def follows_clock(self) -> bool:
        """Return whether our clock tells when the market is open; a recording has a clock of its own."""
        return self._calendar is not None

    def begin(self, index: str, last_event_time: datetime | None, now: datetime) -> None:
        """Watch `index` from `now` on; the journal's last chain of it tells where the process before stopped."""
        # Without a chain from before nobody knows of anything that is missing; what does not come now is late.
        self._seen[index] = _Seen(last_event_time or now, now, fresh=last_event_time is None)

    def end(self, index: str) -> None:
        """Watch `index` no longer: somebody else does."""
        self._seen.pop(index, None)

    def on_chain(self, chain: Chain, now: datetime) -> list[Interruption]:
        """Take a chain; return what begins or ends with it."""
        seen = self._seen.setdefault(chain.index, _Seen(chain.event_time, now, fresh=True))
        seen.heard = now
        if not any(expiry.leg_count() for expiry in chain.expiries):  # the first that has legs will do
            return self._take_empty(chain, seen)
        news = []
        for gap in (seen.late, seen.empty):
            if gap is not None:
                news.append(_ended(gap, chain.event_time))
        if not seen.fresh and self._calendar is not None:
            missed = self._calendar.open_time_between(seen.event_time, chain.event_time)
            if missed > self._gap_after and seen.late is None:
                detail = f"no collector for {missed.total_seconds():.0f} s of an open market"
                down = Interruption(chain.index, GapCause.COLLECTOR_DOWN, seen.event_time, chain.event_time, detail)
                news.append(down)
        seen.late = seen.empty = None
        seen.fresh = True
        seen.event_time = max(seen.event_time, chain.event_time)
        return news

    def overdue(self, now: datetime, explained: Collection[str]) -> list[Interruption]:
        """Return the gaps that begin because nothing came for too long.

        Args:
            now: The present.
            explained: Indices of which the feed itself has said that something is missing.
        """
        if self._calendar is None:
            return []
        session = self._calendar.last_session(now)
        if session is None or not session.holds(now):
            return []
        news = []
        for index, seen in self._seen.items():
            if seen.late is None and index not in explained and now - max(seen.heard, session.opens) > self._gap_after:
                detail = f"no chain for more than {self._gap_after.total_seconds():g} s"
                seen.late = Interruption(index, GapCause.LATE, seen.event_time, None, detail)
                news.append(seen.late)
        return news

    @staticmethod
    def _take_empty(chain: Chain, seen: _Seen) -> list[Interruption]:
        if seen.empty is not None:
            return []
        detail = "chains without any known leg"
        seen.empty = Interruption(chain.index, GapCause.FEED_ERROR, seen.event_time, None, detail)
        return [seen.empty]


def _ended(gap: Interruption, until: datetime) -> Interruption:
    return Interruption(gap.index, gap.cause, gap.since, max(until, gap.since), gap.detail, gap.leg_count)
