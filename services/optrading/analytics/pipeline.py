"""The way of a chain through analytics: pulled from collection, computed once, shown, then noted as done."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import structlog
from opentelemetry import trace

from optrading.analytics.computation import analyse_chain
from optrading.analytics.result import Result
from optrading.analytics.v1 import analytics_service_pb2 as pb
from optrading.collection.v1 import collection_service_pb2 as collection_pb
from optrading.common.board import Board
from optrading.common.clock import Clock
from optrading.common.database import transaction
from optrading.common.journal import Journal
from optrading.common.outbox import Notice, Outbox
from optrading.common.telemetry import context_of, current_traceparent
from optrading.common.worker import Worker
from optrading.market.chain import ORIGIN, Position
from optrading.market.codec import decode_chain, position_of
from optrading.market.v1 import event_pb2

log = structlog.get_logger()
tracer = trace.get_tracer(__name__)

_QUEUE = 64
"""Chains between collection and computation. When it is full, collection's stream waits."""


class AnalyticsPipeline:
    """Computes every chain once, in order, and shows the newest result of each index."""

    def __init__(
        self,
        board: Board[Result],
        journal: Journal,
        outbox: Outbox,
        worker: Worker,
        clock: Clock,
        rate_per_year: float,
        on_committed: Callable[[], None],
    ) -> None:
        """Wire the pipeline.

        Args:
            board: Where results are shown.
            journal: Holds the position up to which each index is done; touched only by the thread of `worker`.
            outbox: Notices, on the journal's connection.
            worker: The thread that computes and writes.
            clock: For the time of computing.
            rate_per_year: Continuously compounded rate.
            on_committed: Called after each commit.
        """
        self._board = board
        self._journal = journal
        self._outbox = outbox
        self._worker = worker
        self._clock = clock
        self._rate_per_year = rate_per_year
        self._on_committed = on_committed
        self._queue: asyncio.Queue[collection_pb.WatchChainsResponse] = asyncio.Queue(_QUEUE)
        self._taken: dict[str, Position] = {}

    async def resume_point(self, index: str) -> Position | None:
        """Return after which chain to watch `index`; None for the oldest there is.

        The last chain that was computed comes again, so that there is something to show after a restart.
        """
        self._board.add_index(index)
        if index in self._taken:
            return self._taken[index]
        done = await self._worker.run(self._journal.cursor, _cursor(index))
        return None if done == ORIGIN else Position(done.epoch, done.sequence - 1)

    async def take(self, response: collection_pb.WatchChainsResponse) -> None:
        """Take a chain; waits while too many are being computed."""
        await self._queue.put(response)
        self._taken[response.chain.index] = position_of(response.chain)

    async def run(self) -> None:
        """Compute what was taken until cancelled."""
        while True:
            batch = [await self._queue.get()]
            while not self._queue.empty():
                batch.append(self._queue.get_nowait())
            notices = []
            for response in batch:
                computed = await self._worker.run(self._compute, response)
                if computed is not None:
                    result, notice = computed
                    self._board.publish(response.chain.index, result)
                    notices.append(notice)
            done = [(response.chain.index, position_of(response.chain)) for response in batch]
            await self._worker.run(self._commit, done, notices)
            self._on_committed()

    def _compute(self, response: collection_pb.WatchChainsResponse) -> tuple[Result, Notice] | None:
        position = position_of(response.chain)
        with tracer.start_as_current_span("compute_analytics", context_of(response.traceparent)):
            try:
                chain = decode_chain(response.chain)
                message = analyse_chain(chain, position, self._rate_per_year, self._clock.now())
            except ValueError as error:
                # One chain that contradicts itself must not hold up those after it; storage keeps it as it came.
                log.error("chain_not_analysed", index=response.chain.index, position=position, error=str(error))
                return None
            result = Result(message)
            return result, _notice(message, current_traceparent())

    def _commit(self, done: Sequence[tuple[str, Position]], notices: Sequence[Notice]) -> None:
        with transaction(self._outbox.connection):
            before = {index: self._journal.cursor(_cursor(index)) for index, _ in done}
            for index, position in done:
                self._journal.set_cursor(_cursor(index), max(position, before[index]))
            # A chain that is computed again after a restart was told of before.
            self._outbox.add(
                notice
                for notice in notices
                if Position(notice.event.analytics_computed.epoch, notice.event.analytics_computed.sequence)
                > before[notice.event.analytics_computed.index]
            )


def _cursor(index: str) -> str:
    return f"computed/{index}"


def _notice(message: pb.AnalyticsSnapshot, traceparent: str) -> Notice:
    return Notice(
        event_pb2.Event(
            event_id=f"analytics_computed/{message.index}/{message.epoch}/{message.sequence}",
            event_type="analytics_computed",
            occurred_at=message.computed_time,
            service="analytics",
            analytics_computed=event_pb2.AnalyticsComputed(
                index=message.index,
                epoch=message.epoch,
                sequence=message.sequence,
                event_time=message.event_time,
                solved_count=message.summary.solved_count,
                unsolved_count=message.summary.unsolved_count,
            ),
        ),
        traceparent,
    )
