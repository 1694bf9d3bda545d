"""Two collectors share six indices: one dies, Redis dies, one sleeps past its lease; nothing is lost or twice."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from pathlib import Path

import grpc
import pytest

from optrading.collection.v1 import collection_service_pb2 as pb
from optrading.collection.v1.collection_service_pb2_grpc import CollectionServiceStub
from optrading.common.clock import SystemClock
from optrading.local.ports import free_ports
from optrading.storage.service import run_storage
from optrading.storage.settings import StorageSettings
from tests.contract.common.redis_server import RedisServer

SOAK = bool(os.environ.get("OPTRADING_SOAK"))
ALL = {"NIFTY", "BANKNIFTY", "FINNIFTY", "MIDCPNIFTY", "SENSEX", "BANKEX"}
TAKEOVER_S = 11.0

Positions = set[tuple[str, int, int]]


class Collector:
    """A collector in a process of its own, which can be killed and started again with the state that it has."""

    def __init__(self, home: Path, name: str, redis_url: str) -> None:
        self.state = home / name
        self.address = f"127.0.0.1:{free_ports(1)[0]}"
        self._environment = {
            **os.environ,
            "OPTRADING_HOME": str(home),
            "STATE_DIRECTORY": str(self.state),
            "LISTEN_ADDRESS": self.address,
            "MESH_TLS": "sidecar",
            "REDIS_URL": redis_url,
            "CUT_INTERVAL_S": "0.25",
            "DRAIN_S": "0",
        }
        self._log = home / f"{name}.log"
        self._process: Process | None = None
        self._channel: grpc.aio.Channel | None = None

    async def start(self) -> None:
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "optrading.collection", env=self._environment, stdout=DEVNULL, stderr=log
            )
        self._channel = grpc.aio.insecure_channel(self.address)

    def send(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    async def end(self, number: signal.Signals = signal.SIGKILL) -> None:
        if self._process is not None and self._process.returncode is None:
            self.send(signal.SIGCONT)
            self.send(number)
            await self._process.wait()
        if self._channel is not None:
            await self._channel.close()
        self._process = self._channel = None

    async def owned(self) -> set[str]:
        if self._channel is None:
            return set()
        try:
            stub = CollectionServiceStub(self._channel)
            answer = await stub.ListIndices(pb.ListIndicesRequest(), timeout=1.0, wait_for_ready=True)
        except grpc.aio.AioRpcError:
            return set()
        return {listing.index for listing in answer.indices if listing.owned}

    def announced(self) -> Positions:
        return positions_in(self.state / "journal.sqlite")


def positions_in(database: Path) -> Positions:
    """Return what is in a journal; the bytes are others' business."""
    with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        return set(connection.execute("SELECT index_name, epoch, sequence FROM snapshot"))


async def until(condition: Callable[[], object], timeout_s: float = 60.0) -> float:
    """Return after how many seconds `condition` held."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with asyncio.timeout(timeout_s):
        while True:
            answer = condition()
            if await answer if asyncio.iscoroutine(answer) else answer:
                return loop.time() - began
            await asyncio.sleep(0.05)


@asynccontextmanager
async def two_collectors(home: Path) -> AsyncIterator[tuple[Collector, Collector, RedisServer, Path]]:
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(RedisServer(home / "valkey"))
        one, other = Collector(home, "one", redis.url), Collector(home, "other", redis.url)
        for each in (one, other):
            stack.push_async_callback(each.end)
        await one.start()
        settings = StorageSettings.model_validate(
            {
                "home": home,
                "mesh_tls": "sidecar",
                "listen_address": "127.0.0.1:0",
                "collection_address": f"{one.address},{other.address}",
                "discovery_interval_s": 0.25,
                "roll_interval_s": 3600.0,
                "drain_s": 0.0,
            }
        )
        await stack.enter_async_context(run_storage(settings, SystemClock()))
        yield one, other, redis, home / "storage" / "journal.sqlite"


def count_of(positions: Positions) -> dict[str, int]:
    return {index: sum(name == index for name, _, _ in positions) for index in ALL}


@pytest.mark.timeout(240)
async def test_two_collectors_share_and_whatever_dies_nothing_is_lost_or_twice(tmp_path: Path) -> None:
    async with two_collectors(tmp_path) as (one, other, redis, stored):

        async def shared() -> bool:
            mine, theirs = await one.owned(), await other.owned()
            return len(mine) == len(theirs) == 3 and mine | theirs == ALL

        def grown(count: int) -> Callable[[], bool]:
            before = count_of(positions_in(stored))
            return lambda: all(now >= before[index] + count for index, now in count_of(positions_in(stored)).items())

        async def all_of(collector: Collector) -> bool:
            return await collector.owned() == ALL

        # A lone one has all; one that joins gets its half.
        await until(lambda: all_of(one))
        await other.start()
        await until(shared)
        await until(grown(8))

        # One dies: the other has all of it.
        await one.end()
        took_s = await until(lambda: all_of(other))
        print(f"takeover after {took_s:.2f} s")
        assert took_s <= TAKEOVER_S
        await until(grown(8))

        # It comes back: what it had announced and storage had not yet seen is fetched.
        await one.start()
        await until(shared)
        await until(lambda: positions_in(stored) >= one.announced() | other.announced())

        # Redis dies: both go on, and storage with them.
        await redis.kill()
        await until(grown(8))
        assert await shared()
        await redis.start()

        if SOAK:
            # One sleeps past its lease. When it wakes it is not the owner any more, and what it makes is refused.
            other.send(signal.SIGSTOP)
            await until(lambda: all_of(one))
            await until(grown(8))
            other.send(signal.SIGCONT)
            await until(shared)

        # An orderly stop gives everything away at once.
        await other.end(signal.SIGTERM)
        assert await until(lambda: all_of(one)) < TAKEOVER_S / 2
        await one.end(signal.SIGTERM)

        # A position is unique in storage's journal: each announced chain is there exactly once, and nothing else is.
        for each in (one, other):
            await each.start()
        await until(lambda: positions_in(stored) >= one.announced() | other.announced())
        for each in (one, other):
            await each.end(signal.SIGTERM)
        await until(lambda: positions_in(stored) <= one.announced() | other.announced())
        for index in ALL:
            for epoch in {at for name, at, _ in positions_in(stored) if name == index}:
                sequences = sorted(s for name, at, s in positions_in(stored) if (name, at) == (index, epoch))
                assert sequences == list(range(1, len(sequences) + 1))
