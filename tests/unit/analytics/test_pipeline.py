from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path

import pytest
import structlog

from optrading.analytics.pipeline import AnalyticsPipeline
from optrading.analytics.result import Result
from optrading.collection.shaping import Shaper
from optrading.collection.v1 import collection_service_pb2 as pb
from optrading.common.board import Board
from optrading.common.database import open_database
from optrading.common.journal import Journal
from optrading.common.outbox import Outbox
from optrading.common.worker import Worker
from optrading.market.chain import Position
from optrading.market.codec import encode_chain
from optrading.testing.clock import ManualClock
from tests.chains import small_chain

pytestmark = pytest.mark.timeout(30)


def response(sequence: int, *, epoch: int = 7, index: str = "NIFTY") -> pb.WatchChainsResponse:
    chain = Shaper().shape(small_chain(index, sequence))
    return pb.WatchChainsResponse(chain=encode_chain(chain, Position(epoch, sequence)))


@dataclass
class Rig:
    board: Board[Result]
    journal: Journal
    outbox: Outbox
    worker: Worker
    pipeline: AnalyticsPipeline
    committed: asyncio.Event

    async def take_all(self, *responses: pb.WatchChainsResponse) -> None:
        """Take these and return when they are committed."""
        for each in responses:
            await self.pipeline.take(each)
        last = responses[-1].chain
        while await self.worker.run(self.journal.cursor, f"computed/{last.index}") < (last.epoch, last.sequence):
            self.committed.clear()
            await self.committed.wait()

    def notices(self) -> list[str]:
        return [notice.event.event_id for notice in self.outbox.pending(100)]


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[Rig]:
    async with AsyncExitStack() as stack:
        connection = stack.enter_context(closing(open_database(folder / "analytics.sqlite")))
        worker = await stack.enter_async_context(Worker("analytics"))
        journal, outbox = Journal(connection), Outbox(connection, enabled=True)
        board: Board[Result] = Board()
        committed = asyncio.Event()
        pipeline = AnalyticsPipeline(board, journal, outbox, worker, ManualClock(), 0.065, committed.set)
        task = asyncio.create_task(pipeline.run())
        try:
            yield Rig(board, journal, outbox, worker, pipeline, committed)
        finally:
            task.cancel()
            await asyncio.wait([task])


async def test_each_chain_is_computed_once_shown_noted_and_told_of(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        assert await rig.pipeline.resume_point("NIFTY") is None
        assert list(rig.board.indices) == ["NIFTY"]
        await rig.take_all(response(1), response(2))
        assert rig.board.published("NIFTY") == 2
        newest = rig.board.newest("NIFTY")
        assert newest is not None
        assert newest.position == (7, 2)
        assert rig.notices() == ["analytics_computed/NIFTY/7/1", "analytics_computed/NIFTY/7/2"]
        told = rig.outbox.pending(1)[0].event.analytics_computed
        assert told.solved_count + told.unsolved_count == 12
        assert await rig.pipeline.resume_point("NIFTY") == (7, 2)


async def test_after_a_restart_the_last_chain_comes_again_but_not_its_notice(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        await rig.take_all(response(1), response(2))
        rig.outbox.remove(rig.outbox.pending(9))
    async with running(tmp_path) as rig:
        assert await rig.pipeline.resume_point("NIFTY") == (7, 1)
        await rig.take_all(response(2), response(3))
        assert rig.board.published("NIFTY") == 2
        assert rig.notices() == ["analytics_computed/NIFTY/7/3"]


async def test_a_chain_that_contradicts_itself_is_passed_over_and_said_so(tmp_path: Path) -> None:
    broken = response(2)
    broken.chain.expiries[0].call.last_inr.pop()
    with structlog.testing.capture_logs() as logs:
        async with running(tmp_path) as rig:
            await rig.take_all(response(1), broken, response(3))
            assert [r.position.sequence for r in rig.board.recent_after("NIFTY", Position(7, 0)) or []] == [1, 3]
            assert rig.notices() == ["analytics_computed/NIFTY/7/1", "analytics_computed/NIFTY/7/3"]
    (entry,) = [entry for entry in logs if entry["event"] == "chain_not_analysed"]
    assert entry["position"] == (7, 2)


async def test_indices_do_not_mix(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        await rig.take_all(response(1), response(5, epoch=3, index="SENSEX"), response(2))
        assert await rig.pipeline.resume_point("SENSEX") == (3, 5)
        assert await rig.pipeline.resume_point("NIFTY") == (7, 2)


async def test_when_too_much_waits_the_stream_waits_too_and_nothing_is_left_out(tmp_path: Path) -> None:
    go_on = threading.Event()
    async with running(tmp_path) as rig:
        busy = asyncio.create_task(rig.worker.run(go_on.wait, 20))  # a computation that takes long
        taking = asyncio.create_task(rig.take_all(*(response(n) for n in range(1, 81))))
        while not rig.pipeline._queue.full():  # noqa: ASYNC110  # nobody announces it
            await asyncio.sleep(0)
        assert not taking.done()
        go_on.set()
        await asyncio.gather(busy, taking)
        assert rig.board.published("NIFTY") == 80
