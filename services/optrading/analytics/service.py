"""The analytics service put together: what it pulls, what it serves, and in which order they begin."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass

from optrading.analytics.pipeline import AnalyticsPipeline
from optrading.analytics.result import Result
from optrading.analytics.servicer import AnalyticsServicer
from optrading.analytics.settings import AnalyticsSettings
from optrading.analytics.upstream import Upstream
from optrading.analytics.v1.analytics_service_pb2_grpc import add_AnalyticsServiceServicer_to_server
from optrading.common.board import Board, StreamLimits
from optrading.common.bus import EventBus
from optrading.common.clock import Clock, SystemClock
from optrading.common.collectors import find_collectors
from optrading.common.database import open_database
from optrading.common.journal import Journal
from optrading.common.outbox import Outbox
from optrading.common.serving import serve
from optrading.common.state import own_state
from optrading.common.worker import Worker


@dataclass(frozen=True, slots=True)
class RunningAnalytics:
    """An analytics service that serves.

    Attributes:
        port: TCP port it listens on.
        board: The newest results.
    """

    port: int
    board: Board[Result]


@asynccontextmanager
async def run_analytics(settings: AnalyticsSettings, clock: Clock) -> AsyncIterator[RunningAnalytics]:
    """Run analytics while the block runs. It serves what it has computed, whether or not collection can be reached.

    Raises:
        StateError: The state folder cannot be used.
        AddressInUseError: The listen address is taken.
        CertificateError: A certificate cannot be read.
    """
    async with AsyncExitStack() as stack:
        state = stack.enter_context(own_state(settings.state("analytics")))
        connection = stack.enter_context(closing(open_database(state / "journal.sqlite")))
        worker = await stack.enter_async_context(Worker("analytics"))
        journal, outbox = Journal(connection), Outbox(connection, enabled=settings.redis_url is not None)
        board: Board[Result] = Board()
        bus = EventBus(settings.redis_url, outbox, worker)
        pipeline = AnalyticsPipeline(board, journal, outbox, worker, clock, settings.risk_free_rate_per_year, bus.wake)
        collectors = await stack.enter_async_context(find_collectors(settings, "analytics"))
        servicer = AnalyticsServicer(board, StreamLimits(settings.heartbeat_interval_s, settings.stream_max_age_s))
        server = await stack.enter_async_context(
            serve(settings, "analytics", lambda server: add_AnalyticsServiceServicer_to_server(servicer, server))
        )
        stack.callback(board.close)
        async with asyncio.TaskGroup() as tasks:
            running = [
                tasks.create_task(Upstream(collectors, pipeline, SystemClock()).run(), name="upstream"),
                tasks.create_task(pipeline.run(), name="pipeline"),
                tasks.create_task(bus.run(), name="bus"),
            ]
            await server.set_serving(True)
            try:
                yield RunningAnalytics(server.port, board)
            finally:
                for task in running:
                    task.cancel()
