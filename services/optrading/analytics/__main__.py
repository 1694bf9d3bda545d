"""The analytics service: `python -m optrading.analytics`."""

from __future__ import annotations

import asyncio
import sys
from contextlib import AsyncExitStack, closing

from optrading.analytics.pipeline import AnalyticsPipeline
from optrading.analytics.result import Result
from optrading.analytics.servicer import AnalyticsServicer
from optrading.analytics.settings import AnalyticsSettings
from optrading.analytics.upstream import Upstream
from optrading.analytics.v1.analytics_service_pb2_grpc import add_AnalyticsServiceServicer_to_server
from optrading.common.board import Board, StreamLimits
from optrading.common.bus import EventBus
from optrading.common.channels import open_channel
from optrading.common.clock import SystemClock
from optrading.common.database import open_database
from optrading.common.journal import Journal
from optrading.common.outbox import Outbox
from optrading.common.program import run_program
from optrading.common.serving import serve, until_signal
from optrading.common.state import own_state
from optrading.common.worker import Worker


async def main(settings: AnalyticsSettings) -> None:
    """Compute and serve until a signal comes.

    Raises:
        StateError: The state folder cannot be used.
    """
    async with AsyncExitStack() as stack:
        state = stack.enter_context(own_state(settings.state("analytics")))
        connection = stack.enter_context(closing(open_database(state / "journal.sqlite")))
        worker = await stack.enter_async_context(Worker("analytics"))
        journal = Journal(connection)
        outbox = Outbox(connection, enabled=settings.redis_url is not None)
        board: Board[Result] = Board()
        bus = EventBus(settings.redis_url, outbox, worker)
        pipeline = AnalyticsPipeline(
            board, journal, outbox, worker, SystemClock(), settings.risk_free_rate_per_year, bus.wake
        )
        channel = await stack.enter_async_context(open_channel(settings, "analytics", "collection"))
        servicer = AnalyticsServicer(board, StreamLimits(settings.heartbeat_interval_s, settings.stream_max_age_s))
        server = await stack.enter_async_context(
            serve(settings, "analytics", lambda server: add_AnalyticsServiceServicer_to_server(servicer, server))
        )
        async with asyncio.TaskGroup() as tasks:
            running = [
                tasks.create_task(Upstream(channel, pipeline).run(), name="upstream"),
                tasks.create_task(pipeline.run(), name="pipeline"),
                tasks.create_task(bus.run(), name="bus"),
            ]
            await server.set_serving(True)
            await until_signal()
            for task in running:
                task.cancel()
        board.close()


if __name__ == "__main__":
    sys.exit(run_program("analytics", AnalyticsSettings, main))
