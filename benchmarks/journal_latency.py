"""Journal and announce: how long a chain takes from the feed, through a durable commit, to a reader."""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import uvloop

from benchmarks.measure import Row
from optrading.collection.service import run_collection
from optrading.collection.settings import CollectionSettings
from optrading.common.clock import SystemClock
from optrading.local.authority import ensure_certificates
from optrading.market.chain import Floats
from optrading.testing.load import BoardReader, Load, PacedFeed, latencies_s

_TARGET_S = 0.010
"""What a chain may take, p99."""
_LOADS = (Load(strikes=29, cut_s=1.0, duration_s=20.0), Load(strikes=72, cut_s=0.25, duration_s=8.0))
"""3,000 legs a second, and ten times as many."""
_ROUNDS = 3
"""Each measures both in turns, so that a noisy minute hurts both; of each the best round counts."""


def rows() -> Iterator[Row]:
    """Yield, for each load, the p99 beside the target and beside SQLite alone, as how many fit into a second."""
    for load in _LOADS:
        ours: list[Floats] = []
        alone: list[Floats] = []
        for _ in range(_ROUNDS):
            with tempfile.TemporaryDirectory() as folder:
                taken_s, payloads = uvloop.run(_collect(Path(folder), load))
                ours.append(taken_s)
                alone.append(_commit_plainly(Path(folder) / "plain.sqlite", payloads, load))
        ours_s, alone_s = min(ours, key=_p99), min(alone, key=_p99)
        what = f"feed to reader, p99 at {load.legs_per_second:,.0f} legs/s"
        yield Row(f"{what} ({_shown(ours_s)})", 1 / _p99(ours_s), "in a row", "the target, 10 ms", 1 / _TARGET_S)
        limit = f"SQLite alone: the same bytes, durable ({_shown(alone_s)})"
        yield Row(what, 1 / _p99(ours_s), "in a row", limit, 1 / _p99(alone_s))


async def _collect(home: Path, load: Load) -> tuple[Floats, Sequence[bytes]]:
    """Return the time of each chain, seconds, and the newest bytes of each index."""
    ensure_certificates(home / "tls", "optrading.local")
    settings = CollectionSettings(home=home, listen_address="127.0.0.1:0", active_strike_offsets="all")
    feed = PacedFeed(load)
    async with run_collection(settings, feed, SystemClock()) as collecting:
        readers = {index: BoardReader(collecting.board, index) for index in feed.indices}
        async with asyncio.TaskGroup() as tasks:
            for reader in readers.values():
                tasks.create_task(reader.read(load.chains_per_index))
        newest = [collecting.board.newest(index) for index in feed.indices]
        return latencies_s(feed, readers), [each.record.payload for each in newest if each is not None]


def _commit_plainly(path: Path, payloads: Sequence[bytes], load: Load) -> Floats:
    """Return how long a durable commit takes at the same pace, seconds: a disk that rests between is slower."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE plain (n INTEGER PRIMARY KEY, payload BLOB)")
    taken = []
    step_s = load.cut_s / len(PacedFeed.indices)
    due = time.perf_counter()
    for number in range(load.chains_per_index * len(PacedFeed.indices)):
        due += step_s
        time.sleep(max(due - time.perf_counter(), 0.0))
        begin = time.perf_counter()
        connection.execute("INSERT INTO plain VALUES (?, ?)", (number, payloads[number % len(payloads)]))
        taken.append(time.perf_counter() - begin)
    connection.close()
    return np.array(taken)


def _p99(seconds: Floats) -> float:
    return float(np.quantile(seconds, 0.99))


def _shown(seconds: Floats) -> str:
    middle, most, worst = (1000 * np.quantile(seconds, part) for part in (0.5, 0.99, 1.0))
    return f"p50 {middle:.1f}, p99 {most:.1f}, max {worst:.1f} ms"
