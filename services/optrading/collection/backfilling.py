"""Fills gaps from what the feed's source remembers, in the background: live chains never wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime

import structlog

from optrading.collection.feeds.base import Feed, FeedError
from optrading.collection.gaps import GapLedger
from optrading.collection.lane_store import LaneKind
from optrading.collection.lanes import SideLanes
from optrading.common.backoff import Backoff
from optrading.common.clock import Clock
from optrading.common.database import transaction
from optrading.common.outbox import Outbox
from optrading.common.worker import Worker
from optrading.market.calendar import TradingCalendar
from optrading.market.codec import from_timestamp
from optrading.market.gaps import GapRepair
from optrading.market.v1 import gap_pb2

log = structlog.get_logger()

_FIRST_RETRY_S = 5.0
_LONGEST_RETRY_S = 300.0
_CHAIN_EVERY_S = 60.0
"""As exact as histories are: a gap with a chain for each of its minutes is filled."""


class Backfiller:
    """Takes gaps that have ended to the feed's history, each once, also after a restart."""

    def __init__(
        self,
        feed: Feed,
        gaps: GapLedger,
        lanes: SideLanes,
        outbox: Outbox,
        writer: Worker,
        clock: Clock,
        calendar: TradingCalendar | None,
        on_committed: Callable[[], None],
        *,
        enabled: bool,
    ) -> None:
        """Ask `feed`; write to `lanes`, and to `gaps` in the thread of `writer`. Do nothing unless `enabled`.

        Without a `calendar` (a recording) every minute of a gap is one of an open market. `on_committed` is called when
        what became of a gap is in the ledger.
        """
        self._feed = feed
        self._gaps = gaps
        self._lanes = lanes
        self._outbox = outbox
        self._writer = writer
        self._enabled = enabled
        self._calendar = calendar
        self._on_committed = on_committed
        self._backoff = Backoff(clock, _FIRST_RETRY_S, _LONGEST_RETRY_S)
        self._changed = asyncio.Event()

    def wake(self) -> None:
        """Say that a gap may have ended."""
        self._changed.set()

    async def run(self) -> None:
        """Fill until cancelled. A source that cannot be asked now is asked again, ever less often."""
        if not self._enabled:
            return
        known = -1
        while True:
            self._changed.clear()
            last = await self._writer.run(self._gaps.last_change)
            if last != known:
                if not await self._fill_all():
                    await self._backoff.wait()
                    continue
                self._backoff.reset()
                known = last  # what ended while others were filled is a later change, and looked at next
            await self._changed.wait()

    async def _fill_all(self) -> bool:
        """Fill what is there; return False when some of it must be asked for again."""
        refused: set[str] = set()
        for gap in await self._writer.run(self._gaps.to_repair):
            if gap.index in refused:  # one that cannot be had keeps no other index waiting
                continue
            try:
                await self._fill(gap)
            except FeedError as error:
                log.warning("backfill_delayed", index=gap.index, error=str(error))
                refused.add(gap.index)
        return not refused

    async def _fill(self, gap: gap_pb2.Gap) -> None:
        since, until = from_timestamp(gap.start_time), from_timestamp(gap.end_time)
        epoch = await self._lanes.open(LaneKind.BACKFILL, gap.gap_id)
        count = await self._lanes.count(gap.index, epoch)
        if not count:  # otherwise a process before this one died between the chains and the note of them
            chains = [each for each in await self._feed.history(gap.index, since, until) if each.index == gap.index]
            count = await self._lanes.append(epoch, chains) if chains else 0
        repair = GapRepair.UNAVAILABLE
        if count:
            repair = GapRepair.BACKFILLED if count >= self._wanted(since, until) else GapRepair.PARTIAL
        await self._writer.run(self._note, gap.gap_id, repair, count)
        self._on_committed()
        if count:
            log.info("gap_filled", index=gap.index, gap=gap.gap_id, chains=count, repair=repair.name)

    def _wanted(self, since: datetime, until: datetime) -> int:
        """Return how many minutes begin between two instants at which the market was open."""
        first = int(since.timestamp() // _CHAIN_EVERY_S) + 1
        last = -int(-until.timestamp() // _CHAIN_EVERY_S) - 1
        open_time = self._calendar.open_time_between(since, until) if self._calendar else until - since
        return min(last - first + 1, int(open_time.total_seconds() // _CHAIN_EVERY_S) or 1)

    def _note(self, gap_id: str, repair: GapRepair, count: int) -> None:
        with transaction(self._outbox.connection):
            self._gaps.set_repair(gap_id, repair, count)
