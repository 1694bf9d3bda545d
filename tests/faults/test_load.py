"""Ten times the load of a live market on the way in, with storage behind it: nothing is lost, and nothing piles up.

At full length (`make soak`) the load is held for five minutes. How long a chain takes is for benchmarks to say; here a
slow machine is no failure, as long as it keeps up.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import numpy as np
import pytest

from optrading.collection.service import run_collection
from optrading.collection.settings import CollectionSettings
from optrading.common.clock import SystemClock
from optrading.local.authority import ensure_certificates
from optrading.market.chain import Position
from optrading.storage.service import RunningStorage, run_storage
from optrading.storage.settings import StorageSettings
from optrading.testing.load import BoardReader, Load, PacedFeed, latencies_s

SOAK = bool(os.environ.get("OPTRADING_SOAK"))
LOAD = Load(strikes=72, cut_s=0.25, duration_s=300.0 if SOAK else 4.0)
"""30,000 legs a second."""
BACKLOG_S = 2.0
"""How much later than the first chains the last may be; a machine that cannot keep up is later by far."""


@pytest.mark.timeout(900 if SOAK else 120)
async def test_ten_times_the_load_of_a_market_is_journaled_announced_and_stored_without_loss_or_backlog(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert 29_500 < LOAD.legs_per_second < 30_500
    ensure_certificates(tmp_path / "tls", "optrading.local")
    feed = PacedFeed(LOAD)
    settings = CollectionSettings(
        home=tmp_path,
        listen_address="127.0.0.1:0",
        active_strike_offsets="all",
        journal_window_s=20,
        trim_interval_s=5,
    )
    async with run_collection(settings, feed, SystemClock()) as collecting:
        storage = StorageSettings(
            home=tmp_path, listen_address="127.0.0.1:0", collection_address=f"127.0.0.1:{collecting.port}"
        )
        async with run_storage(storage, SystemClock()) as storing:
            readers = {index: BoardReader(collecting.board, index) for index in feed.indices}
            async with asyncio.TaskGroup() as tasks:
                for reader in readers.values():
                    tasks.create_task(reader.read(LOAD.chains_per_index))
            epochs = {index: collecting.pipeline.epoch_of(index) for index in feed.indices}
            await until_stored(storing, feed.indices)
    for index, reader in readers.items():
        expected = [Position(epochs[index], number) for number in range(1, LOAD.chains_per_index + 1)]
        assert reader.seen.positions == expected
    behind_s = np.array_split(np.array(feed.behind_s), 4)
    taken_s = latencies_s(feed, readers)
    with capsys.disabled():
        print(
            "\nfeed behind its time, p99 by quarter, ms:",
            *(f"{1000 * np.quantile(each, 0.99):.1f}" for each in behind_s),
        )
        print("feed to reader, p50 p99 max, ms:", *(f"{1000 * np.quantile(taken_s, q):.1f}" for q in (0.5, 0.99, 1.0)))
    assert np.median(behind_s[-1]) < np.median(behind_s[0]) + BACKLOG_S
    assert np.median(taken_s) < BACKLOG_S


async def until_stored(storing: RunningStorage, indices: tuple[str, ...]) -> None:
    """Wait until storage has every chain; the test's timeout ends it."""
    while any(storing.history.of(index).watermark.sequence < LOAD.chains_per_index for index in indices):  # noqa: ASYNC110
        await asyncio.sleep(0.05)
