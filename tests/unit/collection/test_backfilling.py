"""Filling of gaps from a feed's history: each once, also over a kill, and none because of another."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from optrading.collection.backfilling import Backfiller
from optrading.collection.feeds.base import FeedError
from optrading.collection.lane_store import LaneKind
from optrading.common.database import transaction
from optrading.market.calendar import TradingCalendar
from optrading.market.chain import Chain
from optrading.market.gaps import GapCause, GapRepair, Interruption
from optrading.market.v1 import gap_pb2
from optrading.testing.clock import ManualClock
from optrading.testing.scripted_feed import ScriptedFeed
from tests.chains import OPENING, small_chain
from tests.unit.collection.rig import Collector, collector

pytestmark = pytest.mark.timeout(30)

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)


class Archive(ScriptedFeed):
    """A feed with a history that can be away, and that counts who asks for what.

    Attributes:
        away: Indices whose history cannot be had now.
        asked: Indices in the order in which they were asked for.
        meanwhile: Called while an answer is on its way.
    """

    def __init__(self) -> None:
        super().__init__("NIFTY", "SENSEX")
        self.away: set[str] = set()
        self.asked: list[str] = []
        self.meanwhile = lambda: None

    async def history(self, index: str, since: datetime, until: datetime) -> Sequence[Chain]:
        self.asked.append(index)
        if index in self.away:
            raise FeedError(f"no history of {index} now")
        self.meanwhile()
        return await super().history(index, since, until)


def note(rig: Collector, begin: timedelta, end: timedelta, index: str = "NIFTY") -> None:
    ended = Interruption(index, GapCause.DISCONNECT, OPENING + begin, OPENING + end, "lost")
    with transaction(rig.outbox.connection):
        rig.gaps.note(ended, 7, OPENING)


def latest(rig: Collector) -> dict[str, gap_pb2.Gap]:
    return {change.gap.index: change.gap for change in rig.gaps.changes_after(0, 99)}


@asynccontextmanager
async def filling(rig: Collector, calendar: TradingCalendar | None = None) -> AsyncIterator[Backfiller]:
    told = asyncio.Event()
    filler = Backfiller(
        rig.feed, rig.gaps, rig.side, rig.outbox, rig.writer, rig.clock, calendar, told.set, enabled=True
    )
    task = asyncio.create_task(filler.run())
    try:
        yield filler
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until_repaired(rig: Collector, *indices: str) -> None:
    async with asyncio.timeout(20):
        while {gap.index for gap in await rig.writer.run(rig.gaps.to_repair)} & set(indices):
            await rig.writer.run(lambda: None)


@pytest.fixture
def feed() -> Archive:
    return Archive()


@pytest.mark.parametrize(
    ("begin", "end", "minutes", "repair"),
    [
        pytest.param(0 * MINUTE, 4 * MINUTE, (1, 2, 3), GapRepair.BACKFILLED, id="every minute between two"),
        pytest.param(30 * SECOND, 4 * MINUTE + 30 * SECOND, (1, 2, 3, 4), GapRepair.BACKFILLED, id="not on minutes"),
        pytest.param(30 * SECOND, 4 * MINUTE + 30 * SECOND, (1, 2, 4), GapRepair.PARTIAL, id="one is missing"),
        pytest.param(5 * SECOND, 40 * SECOND, (), GapRepair.UNAVAILABLE, id="shorter than a minute"),
    ],
)
async def test_a_gap_is_filled_when_there_is_a_chain_for_each_of_its_minutes(
    tmp_path: Path, feed: Archive, begin: timedelta, end: timedelta, minutes: tuple[int, ...], repair: GapRepair
) -> None:
    feed.remembered = [small_chain("NIFTY", minute) for minute in minutes]
    async with collector(tmp_path, feed, ManualClock()) as rig:
        note(rig, begin, end)
        async with filling(rig):
            await until_repaired(rig, "NIFTY")
        gap = latest(rig)["NIFTY"]
        assert (gap.repair, gap.backfilled_chain_count) == (repair, len(minutes))


async def test_what_was_filled_before_a_kill_is_noted_and_not_filled_again(tmp_path: Path, feed: Archive) -> None:
    feed.remembered = [small_chain("NIFTY", minute) for minute in (1, 2, 3)]
    async with collector(tmp_path, feed, ManualClock()) as rig:
        note(rig, 0 * MINUTE, 4 * MINUTE)
        [gap] = rig.gaps.to_repair()
        # As far as a process came that died before it could note what it had done.
        epoch = await rig.side.open(LaneKind.BACKFILL, gap.gap_id)
        await rig.side.append(epoch, feed.remembered)
    async with collector(tmp_path, feed, ManualClock()) as rig:
        async with filling(rig):
            await until_repaired(rig, "NIFTY")
        assert feed.asked == []
        assert latest(rig)["NIFTY"].backfilled_chain_count == 3
        assert await rig.side.count("NIFTY", epoch) == 3


async def test_a_history_that_is_away_is_asked_again_and_keeps_no_other_index_waiting(
    tmp_path: Path, feed: Archive
) -> None:
    clock = ManualClock()
    feed.away = {"NIFTY"}
    async with collector(tmp_path, feed, clock) as rig:
        note(rig, 0 * MINUTE, 4 * MINUTE)
        note(rig, 5 * MINUTE, 6 * MINUTE)
        note(rig, 0 * MINUTE, 4 * MINUTE, "SENSEX")
        async with filling(rig):
            await until_repaired(rig, "SENSEX")
            await clock.until_sleeping()
            assert feed.asked == ["NIFTY", "SENSEX"]
            feed.away = set()
            clock.advance(10 * MINUTE)
            await until_repaired(rig, "NIFTY")
        assert rig.gaps.to_repair() == []


async def test_a_gap_that_ends_while_another_is_filled_is_filled_too(tmp_path: Path, feed: Archive) -> None:
    async with collector(tmp_path, feed, ManualClock()) as rig:
        note(rig, 0 * MINUTE, 4 * MINUTE)
        waiting: list[Backfiller] = []

        def another() -> None:
            feed.meanwhile = lambda: None
            note(rig, 0 * MINUTE, 4 * MINUTE, "SENSEX")
            waiting[0].wake()

        feed.meanwhile = another
        async with filling(rig) as filler:
            waiting.append(filler)
            await until_repaired(rig, "NIFTY", "SENSEX")
