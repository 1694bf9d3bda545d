from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from optrading.common.clock import SystemClock
from optrading.common.worker import Worker
from optrading.market.chain import Position
from optrading.storage.committing import Committer
from optrading.storage.settings import StorageSettings
from optrading.testing.clock import ManualClock
from tests.chains import small_chain
from tests.unit.storage.samples import open_kept, received


@asynccontextmanager
async def committing(directory, clock, commits: asyncio.Queue, **changes):
    state = open_kept(directory)
    async with Worker("writer") as writer, asyncio.TaskGroup() as tasks:
        committer = Committer(state.ledger, writer, clock, StorageSettings(**changes), [commits.put_nowait])
        running = tasks.create_task(committer.run())
        yield committer
        running.cancel()


def chain(sequence: int):
    return received(small_chain(minute=sequence), Position(7, sequence))


@pytest.mark.parametrize(
    ("changes", "sizes"),
    [
        ({"ingest_batch_chains": 4}, [4, 4, 2]),
        ({"ingest_batch_chains": 1}, [1] * 10),
        ({"ingest_batch_bytes": 1}, [1] * 10),
        ({"ingest_batch_bytes": 3 * chain(1).message.ByteSize()}, [3, 3, 3, 1]),
        ({}, [10]),
    ],
)
async def test_what_waits_together_is_committed_together_up_to_the_bounds(tmp_path, changes, sizes):
    commits: asyncio.Queue = asyncio.Queue()
    async with committing(tmp_path, SystemClock(), commits, ingest_linger_s=0, **changes) as committer:
        for sequence in range(1, 11):
            await committer.submit(chain(sequence))
        ends = []
        async with asyncio.timeout(20):
            while not ends or ends[-1] < 10:
                ends.append((await commits.get())["NIFTY"].sequence)
    assert [end - begin for begin, end in zip([0, *ends], ends, strict=False)] == sizes


async def test_a_transaction_waits_a_moment_for_chains_to_join_it(tmp_path):
    clock = ManualClock()
    commits: asyncio.Queue = asyncio.Queue()
    async with committing(tmp_path, clock, commits, ingest_linger_s=0.5) as committer, asyncio.timeout(20):
        await committer.submit(chain(1))
        await clock.until_sleeping()
        await committer.submit(chain(2))
        assert commits.empty()
        clock.advance(timedelta(seconds=0.5))
        assert await commits.get() == {"NIFTY": Position(7, 2)}
