"""The collection service put together: what it keeps, what it takes, what it serves, and in which order they begin."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from datetime import timedelta

from optrading.collection.backfilling import Backfiller
from optrading.collection.claiming import claim_indices
from optrading.collection.feeds.base import Feed
from optrading.collection.gap_watch import GapWatch
from optrading.collection.gaps import GapLedger
from optrading.collection.hours import market_calendar
from optrading.collection.importing import Importer
from optrading.collection.inspection import Inspector
from optrading.collection.lane_store import LaneStore
from optrading.collection.lanes import SideLanes
from optrading.collection.ledger_outlet import LedgerOutlet
from optrading.collection.outlet import Outlet
from optrading.collection.pipeline import CollectionPipeline
from optrading.collection.records import RecordMaker
from optrading.collection.resume import ResumePoints
from optrading.collection.servicer import CollectionServicer
from optrading.collection.settings import CollectionSettings, FeedName
from optrading.collection.shaping import Shaper
from optrading.collection.snapshot import Snapshot
from optrading.collection.trimming import JournalTrimmer
from optrading.collection.v1.collection_service_pb2_grpc import add_CollectionServiceServicer_to_server
from optrading.common.board import Board, StreamLimits
from optrading.common.bus import EventBus
from optrading.common.clock import Clock
from optrading.common.database import open_database
from optrading.common.journal import Journal
from optrading.common.outbox import Outbox
from optrading.common.redis_client import open_redis
from optrading.common.serving import serve
from optrading.common.state import own_state
from optrading.common.worker import Worker

JOURNAL = "journal.sqlite"
"""File of the journal in the state folder."""


@dataclass(frozen=True, slots=True)
class RunningCollection:
    """A collection service that serves.

    Attributes:
        port: TCP port it listens on.
        board: The newest chains.
        pipeline: The way in.
        trimmer: Trims on demand, too.
    """

    port: int
    board: Board[Snapshot]
    pipeline: CollectionPipeline
    trimmer: JournalTrimmer


@asynccontextmanager
async def run_collection(settings: CollectionSettings, feed: Feed, clock: Clock) -> AsyncIterator[RunningCollection]:
    """Run collection while the block runs: what the journal holds is shown at once, then the feed goes on.

    At the end collecting stops first, then streams and calls end. What was not in the journal was not announced.

    Raises:
        FeedError: The feed cannot go on.
        StateError: The state folder or the journal cannot be used.
        AddressInUseError: The listen address is taken.
        CertificateError: A certificate cannot be read.
    """
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(feed)
        path = stack.enter_context(own_state(settings.state("collection"))) / JOURNAL
        writing = stack.enter_context(closing(open_database(path)))
        reading = stack.enter_context(closing(open_database(path)))
        writer = await stack.enter_async_context(Worker("journal-writer"))
        reader = await stack.enter_async_context(Worker("journal-reader"))
        journal, outbox = Journal(writing), Outbox(writing, enabled=settings.redis_url is not None)
        gaps, lanes = GapLedger(writing), LaneStore(writing, journal)
        board: Board[Snapshot] = Board()
        bus = EventBus(settings.redis_url, outbox, writer)
        limits = StreamLimits(settings.heartbeat_interval_s, settings.stream_max_age_s)
        seen = Journal(reading, create=False)
        ledgers = LedgerOutlet(GapLedger(reading, create=False), LaneStore(reading, seen, create=False), reader, limits)

        def committed() -> None:
            bus.wake()
            ledgers.wake()
            backfiller.wake()

        calendar = await asyncio.to_thread(market_calendar, settings, clock.now())
        pipeline = CollectionPipeline(
            feed,
            board,
            journal,
            outbox,
            gaps,
            writer,
            clock,
            RecordMaker(Shaper(settings.window()), Inspector(timedelta(seconds=settings.stale_after_s), calendar)),
            GapWatch(calendar, timedelta(seconds=settings.gap_after_s)),
            ResumePoints(journal, feed.identity, settings.replay_run),
            committed,
        )
        side = SideLanes(lanes, outbox, writer, clock, committed)
        backfiller = Backfiller(
            feed, gaps, side, outbox, writer, clock, calendar, committed, enabled=settings.backfill_enabled
        )
        trimmer = JournalTrimmer(
            journal,
            lanes,
            outbox,
            writer,
            clock,
            window=timedelta(seconds=settings.journal_window_s),
            retention=timedelta(days=settings.recovery_log_retention_days),
        )
        outlet = Outlet(board, seen, reader, limits)
        redis = None
        if settings.redis_url is not None:
            redis = await stack.enter_async_context(open_redis(settings.redis_url))
        importer = Importer(side, gaps.ledger_id, redis)
        servicer = CollectionServicer(board, outlet, ledgers, importer, trimmer, pipeline)
        await pipeline.load()
        # A recording is nobody's to share: two that play it would each have all of it.
        shared = redis if settings.feed is not FeedName.REPLAY else None
        if shared is None:
            await pipeline.own(feed.indices)
        server = await stack.enter_async_context(
            serve(settings, "collection", lambda server: add_CollectionServiceServicer_to_server(servicer, server))
        )
        stack.callback(board.close)
        stack.callback(ledgers.close)
        async with AsyncExitStack() as owning, asyncio.TaskGroup() as tasks:
            running = []
            if shared is not None:
                # Before the feed is read: what comes of an index that nobody owns is not taken.
                ownership = await owning.enter_async_context(
                    claim_indices(settings, shared, gaps.ledger_id, pipeline, feed.indices, server.port, clock)
                )
                running.append(tasks.create_task(ownership.run(), name="ownership"))
            running += [
                tasks.create_task(pipeline.run(), name="pipeline"),
                tasks.create_task(trimmer.run(settings.trim_interval_s), name="trimmer"),
                tasks.create_task(bus.run(), name="bus"),
                tasks.create_task(backfiller.run(), name="backfill"),
            ]
            await server.set_serving(True)
            try:
                yield RunningCollection(server.port, board, pipeline, trimmer)
            finally:
                for task in running:
                    task.cancel()
