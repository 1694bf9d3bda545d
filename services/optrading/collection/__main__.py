"""The collection service: `python -m optrading.collection`."""

from __future__ import annotations

import asyncio
import sys
from contextlib import AsyncExitStack, closing
from datetime import timedelta

from optrading.collection.feeds.base import FeedError
from optrading.collection.feeds.opening import open_feed
from optrading.collection.outlet import Outlet
from optrading.collection.pipeline import CollectionPipeline
from optrading.collection.servicer import CollectionServicer
from optrading.collection.settings import CollectionSettings
from optrading.collection.snapshot import Snapshot
from optrading.collection.trimming import JournalTrimmer
from optrading.collection.v1.collection_service_pb2_grpc import add_CollectionServiceServicer_to_server
from optrading.common.board import Board, StreamLimits
from optrading.common.bus import EventBus
from optrading.common.clock import SystemClock
from optrading.common.database import open_database
from optrading.common.journal import Journal
from optrading.common.outbox import Outbox
from optrading.common.program import run_program
from optrading.common.serving import serve, until_signal
from optrading.common.state import own_state
from optrading.common.worker import Worker


async def main(settings: CollectionSettings) -> None:
    """Collect and serve until a signal comes.

    Raises:
        FeedError: The feed cannot be opened or cannot go on.
        StateError: The state folder cannot be used.
    """
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        feed = await stack.enter_async_context(await asyncio.to_thread(open_feed, settings, clock))
        state = stack.enter_context(own_state(settings.state("collection")))
        path = state / "journal.sqlite"
        writing = stack.enter_context(closing(open_database(path)))
        reading = stack.enter_context(closing(open_database(path)))
        writer = await stack.enter_async_context(Worker("journal-writer"))
        reader = await stack.enter_async_context(Worker("journal-reader"))
        journal = Journal(writing)
        outbox = Outbox(writing, enabled=settings.redis_url is not None)
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
        async with asyncio.TaskGroup() as tasks:
            running = [
                tasks.create_task(pipeline.run(), name="pipeline"),
                tasks.create_task(trimmer.run(settings.trim_interval_s), name="trimmer"),
                tasks.create_task(bus.run(), name="bus"),
            ]
            await server.set_serving(True)
            await until_signal()
            for task in running:
                task.cancel()
        board.close()


if __name__ == "__main__":
    sys.exit(run_program("collection", CollectionSettings, main, expected=(FeedError,)))
