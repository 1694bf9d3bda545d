"""The collection service put together: what it keeps, what it takes, what it serves, and in which order they begin."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from datetime import timedelta

from optrading.collection.feeds.base import Feed
from optrading.collection.outlet import Outlet
from optrading.collection.pipeline import CollectionPipeline
from optrading.collection.servicer import CollectionServicer
from optrading.collection.settings import CollectionSettings
from optrading.collection.snapshot import Snapshot
from optrading.collection.trimming import JournalTrimmer
from optrading.collection.v1.collection_service_pb2_grpc import add_CollectionServiceServicer_to_server
from optrading.common.board import Board, StreamLimits
from optrading.common.bus import EventBus
from optrading.common.clock import Clock
from optrading.common.database import open_database
from optrading.common.journal import Journal
from optrading.common.outbox import Outbox
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
        board: Board[Snapshot] = Board()
        bus = EventBus(settings.redis_url, outbox, writer)
        pipeline = CollectionPipeline(
            feed, board, journal, outbox, writer, clock, settings.offsets(), settings.replay_run, bus.wake
        )
        trimmer = JournalTrimmer(
            journal,
            outbox,
            writer,
            clock,
            window=timedelta(seconds=settings.journal_window_s),
            retention=timedelta(days=settings.recovery_log_retention_days),
        )
        limits = StreamLimits(settings.heartbeat_interval_s, settings.stream_max_age_s)
        outlet = Outlet(board, Journal(reading, create=False), reader, limits)
        servicer = CollectionServicer(board, outlet, trimmer, pipeline)
        await pipeline.load()
        server = await stack.enter_async_context(
            serve(settings, "collection", lambda server: add_CollectionServiceServicer_to_server(servicer, server))
        )
        stack.callback(board.close)
        async with asyncio.TaskGroup() as tasks:
            running = [
                tasks.create_task(pipeline.run(), name="pipeline"),
                tasks.create_task(trimmer.run(settings.trim_interval_s), name="trimmer"),
                tasks.create_task(bus.run(), name="bus"),
            ]
            await server.set_serving(True)
            try:
                yield RunningCollection(server.port, board, pipeline, trimmer)
            finally:
                for task in running:
                    task.cancel()
