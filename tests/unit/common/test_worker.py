from __future__ import annotations

import asyncio
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from optrading.common.database import open_database, transaction
from optrading.common.worker import Worker


async def test_calls_run_one_after_the_other_in_one_thread_that_ends_with_the_block() -> None:
    names: list[str] = []
    async with Worker("bookkeeper") as worker:
        await asyncio.gather(*(worker.run(lambda: names.append(threading.current_thread().name)) for _ in range(20)))
        assert await worker.run(divmod, 7, 2) == (3, 1)
    assert len(set(names)) == 1
    assert names[0].startswith("bookkeeper")
    assert not any(thread.name == names[0] for thread in threading.enumerate())


async def test_an_error_reaches_the_caller_and_the_thread_goes_on() -> None:
    async with Worker("bookkeeper") as worker:
        with pytest.raises(ZeroDivisionError):
            await worker.run(divmod, 1, 0)
        assert await worker.run(len, "ok") == 2


async def test_a_cancelled_caller_leaves_no_open_transaction(tmp_path: Path) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def write(connection: sqlite3.Connection) -> None:
        with transaction(connection):
            connection.execute("INSERT INTO t VALUES (1)")
            begun.set()
            go_on.wait(10)

    with closing(open_database(tmp_path / "a.sqlite")) as connection:
        connection.execute("CREATE TABLE t (n INTEGER)")
        async with Worker("bookkeeper") as worker:
            call = asyncio.create_task(worker.run(write, connection))
            await asyncio.to_thread(begun.wait, 10)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            go_on.set()
        assert not connection.in_transaction
        assert connection.execute("SELECT count(*) FROM t").fetchone() == (1,)
