from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from pathlib import Path

import pytest
import structlog
from google.protobuf import json_format
from pydantic import SecretStr
from redis.asyncio import Redis

from optrading.common.bus import EventBus, stream_of
from optrading.common.database import open_database, transaction
from optrading.common.outbox import Notice, Outbox
from optrading.common.worker import Worker
from optrading.market.v1 import event_pb2
from tests.contract.common.redis_server import RedisServer

pytestmark = pytest.mark.timeout(60)  # a retry waits up to five seconds

TYPE = "legs_collected"
STREAM = stream_of(TYPE)


class Sender:
    """An outbox and the bus that empties it."""

    def __init__(self, connection: sqlite3.Connection, worker: Worker, url: str | None) -> None:
        self.connection = connection
        self.worker = worker
        self.outbox = Outbox(connection, enabled=True)
        self.bus = EventBus(SecretStr(url) if url else None, self.outbox, worker)

    async def send(self, numbers: Iterable[int]) -> None:
        def write() -> None:
            with transaction(self.connection):
                self.outbox.add(Notice(event(n), f"00-{n:032x}-{n:016x}-01") for n in numbers)

        await self.worker.run(write)
        self.bus.wake()

    async def waiting(self) -> int:
        return len(await self.worker.run(self.outbox.pending, 10_000))

    async def until_empty(self) -> None:
        while await self.waiting():  # noqa: ASYNC110  # what was sent is forgotten a moment after it has arrived
            await asyncio.sleep(0.005)


def event(number: int) -> event_pb2.Event:
    return event_pb2.Event(
        event_id=f"{TYPE}/NIFTY/7/{number}",
        event_type=TYPE,
        service="collection",
        legs_collected=event_pb2.LegsCollected(index="NIFTY", epoch=7, sequence=number, count=12),
    )


@asynccontextmanager
async def sender(folder: Path, url: str | None) -> AsyncIterator[Sender]:
    async with AsyncExitStack() as stack:
        connection = stack.enter_context(closing(open_database(folder / "outbox.sqlite")))
        yield Sender(connection, await stack.enter_async_context(Worker("outbox")), url)


@asynccontextmanager
async def sending(made: Sender) -> AsyncIterator[None]:
    task = asyncio.create_task(made.bus.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def received(client: Redis, count: int, after: str = "0") -> list[tuple[str, dict[str, str]]]:
    """Return the entries of the stream once there are so many."""
    entries: list[tuple[str, dict[str, str]]] = []
    while len(entries) < count:
        answer = await client.xread({STREAM: entries[-1][0] if entries else after}, block=30_000)
        entries += answer[0][1]
    return entries


def first_times(ids: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(ids))


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[RedisServer]:
    async with RedisServer(tmp_path / "valkey") as server:
        yield server


async def test_an_entry_carries_the_event_and_its_trace(tmp_path: Path, redis: RedisServer) -> None:
    async with redis.client() as client, sender(tmp_path, redis.url) as made, sending(made):
        await made.send([1])
        ((_, entry),) = await received(client, 1)
    assert set(entry) == {"event_id", "event_type", "event", "traceparent"}
    assert (entry["event_id"], entry["event_type"]) == ("legs_collected/NIFTY/7/1", "legs_collected")
    assert entry["traceparent"] == f"00-{1:032x}-{1:016x}-01"
    assert json_format.Parse(entry["event"], event_pb2.Event()) == event(1)
    assert '"legs_collected"' in entry["event"]  # the contract's names, as everywhere


async def test_what_waits_is_sent_in_order_and_then_forgotten(tmp_path: Path, redis: RedisServer) -> None:
    async with redis.client() as client, sender(tmp_path, redis.url) as made:
        await made.send(range(1, 1001))  # more than one batch
        async with sending(made):
            entries = await received(client, 1000)
            await made.send([1001])  # while it waits for more
            entries += await received(client, 1, after=entries[-1][0])
            await made.until_empty()
        assert await client.xlen(STREAM) == 1001
    assert [entry["event_id"] for _, entry in entries] == [event(n).event_id for n in range(1, 1002)]


async def test_commits_while_it_sends_are_neither_lost_nor_sent_twice(tmp_path: Path, redis: RedisServer) -> None:
    async with redis.client() as client, sender(tmp_path, redis.url) as made, sending(made):
        for n in range(1, 301):
            await made.send([n])
        entries = await received(client, 300)
        assert await client.xlen(STREAM) == 300
    assert [entry["event_id"] for _, entry in entries] == [event(n).event_id for n in range(1, 301)]


async def test_every_notice_arrives_at_least_once_and_in_order_though_redis_is_killed(
    tmp_path: Path, redis: RedisServer
) -> None:
    async with sender(tmp_path, redis.url) as made, sending(made):
        async with redis.client() as client:
            await made.send(range(1, 101))
            await received(client, 50)
        await redis.kill()
        for n in range(101, 201):  # data is written as ever
            await made.send([n])
        assert await made.waiting() >= 100
        await redis.start()
        async with redis.client() as client:
            seen: list[str] = []
            last = "0"
            while len(set(seen)) < 200:
                entries = await received(client, 1, after=last)
                last = entries[-1][0]
                seen += [entry["event_id"] for _, entry in entries]
    assert first_times(seen) == [event(n).event_id for n in range(1, 201)]


async def test_a_restart_of_the_service_sends_what_was_left(tmp_path: Path, redis: RedisServer) -> None:
    async with sender(tmp_path, "redis://127.0.0.1:1/0") as made, sending(made):
        with structlog.testing.capture_logs() as logs:
            await made.send([1, 2, 3])
            while not any(entry["event"] == "events_delayed" for entry in logs):  # noqa: ASYNC110  # all there is to see
                await asyncio.sleep(0.01)
        assert await made.waiting() == 3
    async with redis.client() as client, sender(tmp_path, redis.url) as made, sending(made):
        entries = await received(client, 3)
    assert [entry["event_id"] for _, entry in entries] == [event(n).event_id for n in (1, 2, 3)]


async def test_without_redis_there_is_nothing_to_run(tmp_path: Path) -> None:
    async with sender(tmp_path, None) as made:
        await made.bus.run()


async def test_it_stops_at_once_in_the_middle_of_sending(tmp_path: Path, redis: RedisServer) -> None:
    async with redis.client() as client, sender(tmp_path, redis.url) as made:
        for n in range(20):
            task = asyncio.create_task(made.bus.run())
            await made.send([n])
            await received(client, n + 1)  # the answer is on its way to the bus
            task.cancel()
            done, _ = await asyncio.wait([task], timeout=5)
            assert done
            await made.worker.run(made.connection.execute, "DELETE FROM outbox")


async def test_it_stops_at_once_while_redis_does_not_answer(tmp_path: Path) -> None:
    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.set()
        await reader.read()
        writer.close()

    connected = asyncio.Event()
    silent = await asyncio.start_server(hold, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    async with silent, sender(tmp_path, f"redis://127.0.0.1:{port}/0") as made:
        await made.send([1])
        task = asyncio.create_task(made.bus.run())
        await connected.wait()
        task.cancel()
        done, _ = await asyncio.wait([task], timeout=5)
        assert done
        assert await made.waiting() == 1
