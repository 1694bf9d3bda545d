"""A collector without its server: feed, journal, board and what stands between them."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from optrading.collection.gap_watch import GapWatch
from optrading.collection.gaps import GapLedger
from optrading.collection.inspection import Inspector
from optrading.collection.lane_store import LaneStore
from optrading.collection.lanes import SideLanes
from optrading.collection.outlet import Outlet
from optrading.collection.pipeline import CollectionPipeline
from optrading.collection.records import RecordMaker
from optrading.collection.resume import ResumePoints
from optrading.collection.shaping import Shaper
from optrading.collection.snapshot import Snapshot
from optrading.collection.trimming import JournalTrimmer
from optrading.common.board import Board, StreamLimits
from optrading.common.database import open_database
from optrading.common.journal import Journal
from optrading.common.outbox import Outbox
from optrading.common.worker import Worker
from optrading.market.calendar import TradingCalendar
from optrading.market.chain import Position
from optrading.market.window import WindowShape
from optrading.testing.clock import ManualClock
from optrading.testing.scripted_feed import ScriptedFeed

WINDOW = timedelta(minutes=10)
RETENTION = timedelta(days=7)
CALM = StreamLimits(heartbeat_s=60, max_age_s=3600)


@dataclass
class Collector:
    feed: ScriptedFeed
    clock: ManualClock
    writing: sqlite3.Connection
    journal: Journal
    outbox: Outbox
    board: Board[Snapshot]
    pipeline: CollectionPipeline
    trimmer: JournalTrimmer
    outlet: Outlet
    gaps: GapLedger
    lanes: LaneStore
    side: SideLanes
    writer: Worker
    commits: list[int] = field(default_factory=list)

    async def until_shown(self, index: str, sequence: int) -> Snapshot:
        """Return the newest snapshot of this collector once it has that sequence or a later one."""
        _, snapshot = await self.board.wait_after(index, Position(self.pipeline.epoch, sequence - 1))
        return snapshot


@asynccontextmanager
async def collector(
    folder: Path,
    feed: ScriptedFeed,
    clock: ManualClock,
    *,
    offsets: frozenset[int] | None = None,
    run_name: str = "",
    depth: int = 32,
    limits: StreamLimits = CALM,
    calendar: TradingCalendar | None = None,
) -> AsyncIterator[Collector]:
    async with AsyncExitStack() as stack:
        writing = stack.enter_context(closing(open_database(folder / "journal.sqlite")))
        reading = stack.enter_context(closing(open_database(folder / "journal.sqlite")))
        writer = await stack.enter_async_context(Worker("writer"))
        reader = await stack.enter_async_context(Worker("reader"))
        journal, outbox = Journal(writing), Outbox(writing, enabled=True)
        board: Board[Snapshot] = Board(depth)
        commits: list[int] = []
        gaps, lanes = GapLedger(writing), LaneStore(writing, journal)
        pipeline = CollectionPipeline(
            feed,
            board,
            journal,
            outbox,
            gaps,
            writer,
            clock,
            RecordMaker(Shaper(WindowShape(offsets)), Inspector(timedelta(seconds=30), calendar)),
            GapWatch(calendar, timedelta(seconds=10)),
            ResumePoints(journal, feed.identity, run_name),
            lambda: commits.append(1),
        )
        trimmer = JournalTrimmer(journal, lanes, outbox, writer, clock, WINDOW, RETENTION)
        outlet = Outlet(board, Journal(reading, create=False), reader, limits)
        side = SideLanes(lanes, outbox, writer, clock, lambda: None)
        await pipeline.load()
        await pipeline.own(feed.indices)
        yield Collector(
            feed, clock, writing, journal, outbox, board, pipeline, trimmer, outlet, gaps, lanes, side, writer, commits
        )


@asynccontextmanager
async def collecting(rig: Collector) -> AsyncIterator[None]:
    """Run the pipeline while the block runs."""
    task = asyncio.create_task(rig.pipeline.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
