"""The way of the data: from feed to journal, over gRPC with mTLS into storage, and back out of it."""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import pyarrow.parquet as pq

from benchmarks.measure import Row
from optrading.collection.service import run_collection
from optrading.collection.settings import CollectionSettings
from optrading.common.channels import open_channel
from optrading.common.clock import SystemClock
from optrading.common.settings import ServiceSettings
from optrading.local.authority import ensure_certificates
from optrading.market.chain import Chain, Position
from optrading.market.codec import encode_chain
from optrading.storage.service import RunningStorage, run_storage
from optrading.storage.settings import StorageSettings
from optrading.storage.v1 import storage_service_pb2 as pb
from optrading.storage.v1.storage_service_pb2_grpc import StorageServiceStub
from optrading.testing.recordings import synthetic_chains

_MINUTES = 300


class ListFeed:
    """A feed that has its chains ready, so that only what comes after a feed is measured."""

    name = "replay"
    identity = "benchmark"
    indices = ("NIFTY",)

    def __init__(self, chains: Sequence[Chain]) -> None:
        """Hand out `chains`."""
        self._chains = chains

    async def chains(self, resume: Mapping[str, datetime]) -> AsyncIterator[Chain]:
        """Yield the chains as fast as they are taken."""
        for chain in self._chains:
            if chain.index not in resume:
                yield chain

    def select(self, indices: Collection[str]) -> None:
        """Bring what there is: one index."""

    async def history(self, *_: object) -> Sequence[Chain]:
        """Return nothing."""
        return ()

    async def __aenter__(self) -> Self:
        """Open."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""


def rows() -> Iterator[Row]:
    """Yield the legs per second of each part of the way."""
    chains = synthetic_chains(minutes=_MINUTES)
    with tempfile.TemporaryDirectory() as folder:
        yield from asyncio.run(_measure(Path(folder), chains))


async def _measure(home: Path, chains: Sequence[Chain]) -> list[Row]:
    legs = sum(chain.leg_count() for chain in chains)
    disk_s = _append_plainly(home / "plain.sqlite", chains)
    limit = "SQLite alone: the same bytes, a durable commit per chain"
    ensure_certificates(home / "tls", "optrading.local")
    collection = CollectionSettings(home=home, listen_address="127.0.0.1:0", active_strike_offsets="all")
    begin = time.perf_counter()
    async with run_collection(collection, ListFeed(chains), SystemClock()) as collecting:
        await _until(lambda: collecting.pipeline.finished)
        journal_s = time.perf_counter() - begin
        address = f"127.0.0.1:{collecting.port}"
        storage = StorageSettings(home=home, listen_address="127.0.0.1:0", collection_address=address)
        begin = time.perf_counter()
        async with run_storage(storage, SystemClock()) as storing:
            await _until(lambda: storing.history.of("NIFTY").watermark.sequence == len(chains))
            stored_s = time.perf_counter() - begin
            tail_s = await _read(home, storing, len(chains))
            await storing.roller.roll("NIFTY")
            sealed_s = await _read(home, storing, len(chains))
            arrow_s = _read_by_arrow(home)
    arrow = "pyarrow reads the same files"
    return [
        Row("feed to collection's journal", legs / journal_s, "legs", limit, legs / disk_s),
        Row("collection's journal to storage's, gRPC with mTLS", legs / stored_s, "legs", limit, legs / disk_s),
        Row("ReadChains over gRPC, from memory", legs / tail_s, "legs", limit, legs / disk_s),
        Row("ReadChains over gRPC, from Parquet", legs / sealed_s, "legs", arrow, legs / arrow_s),
    ]


async def _until(reached: Callable[[], bool]) -> None:
    while not reached():  # noqa: ASYNC110  # what is measured must not know that it is
        await asyncio.sleep(0.001)


def _append_plainly(path: Path, chains: Sequence[Chain]) -> float:
    payloads = [encode_chain(chain, Position(1, n)).SerializeToString() for n, chain in enumerate(chains, 1)]
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE plain (n INTEGER PRIMARY KEY, payload BLOB)")
    begin = time.perf_counter()
    for number, payload in enumerate(payloads):
        connection.execute("INSERT INTO plain VALUES (?, ?)", (number, payload))
    seconds = time.perf_counter() - begin
    connection.close()
    return seconds


async def _read(home: Path, storing: RunningStorage, expected: int) -> float:
    settings = ServiceSettings(home=home, storage_address=f"127.0.0.1:{storing.port}")
    best = float("inf")
    async with open_channel(settings, "gateway", "storage") as channel:
        stub = StorageServiceStub(channel)
        for _ in range(3):
            begin = time.perf_counter()
            count = 0
            async for _answer in stub.ReadChains(pb.ReadChainsRequest(index="NIFTY")):
                count += 1
            best = min(best, time.perf_counter() - begin)
            if count != expected:
                raise AssertionError(f"{count} chains came back instead of {expected}")
    return best


def _read_by_arrow(home: Path) -> float:
    best = float("inf")
    for _ in range(3):
        begin = time.perf_counter()
        for path in sorted(home.rglob("*.parquet")):
            pq.read_table(path)
        best = min(best, time.perf_counter() - begin)
    return best
