"""From the journal to sealed files: every few minutes, and sooner when much is waiting."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path

import structlog

from optrading.common.worker import Worker
from optrading.market.chain import Position
from optrading.storage.history import History, UnsealedChain
from optrading.storage.ledger import Ledger
from optrading.storage.settings import StorageSettings
from optrading.storage.stores.parquet import SealError, seal

log = structlog.get_logger()


def sealable_runs(tail: Sequence[UnsealedChain]) -> Iterator[list[UnsealedChain]]:
    """Yield the chains that go into one file each: neighbours of one epoch and one trading date.

    Chains of side lanes stand between the live ones, in the order in which they came.
    """
    ordered = sorted(tail, key=lambda chain: chain.position)
    for _, run in groupby(ordered, key=lambda chain: (chain.position.epoch, chain.trading_date)):
        yield list(run)


class Roller:
    """Seals what is in the tail. Reads go on meanwhile, and so does ingest: only the swap needs the writer."""

    def __init__(
        self,
        history: History,
        ledger: Ledger,
        writer: Worker,
        sealer: Worker,
        directory: Path,
        settings: StorageSettings,
    ) -> None:
        """Seal below `directory` in the thread of `sealer`; commit to `ledger` in the thread of `writer`."""
        self._history = history
        self._ledger = ledger
        self._writer = writer
        self._sealer = sealer
        self._directory = directory
        self._settings = settings
        self._early = asyncio.Event()

    def committed(self, watermarks: Mapping[str, Position]) -> None:
        """Learn that chains were stored; roll early when there are many."""
        if any(self._is_long(index) for index in watermarks):
            self._early.set()

    async def run(self) -> None:
        """Roll until cancelled. A roll that fails leaves the chains in the journal, for the next one."""
        while True:
            try:
                async with asyncio.timeout(self._settings.roll_interval_s):
                    await self._early.wait()
                indices = [
                    i for i in self._history.known() if self._history.of(i).tail_rows >= self._settings.roll_rows
                ]
            except TimeoutError:
                indices = list(self._history.known())
            self._early.clear()
            for index in indices:
                try:
                    await self.roll(index)
                except (OSError, SealError, sqlite3.OperationalError) as error:
                    log.error("seal_failed", index=index, error=str(error))
                    # Trying at once again would meet the same full disk.
                    await asyncio.sleep(min(5.0, self._settings.roll_interval_s))

    async def roll(self, index: str) -> None:
        """Seal everything that is in the tail of `index` now.

        Raises:
            OSError: A file cannot be written.
            SealError: A file reads back differently.
            sqlite3.OperationalError: The catalog cannot be written.
        """
        for run in sealable_runs(self._history.of(index).tail):
            file = await self._sealer.run(seal, self._directory, index, run[0].trading_date, run)
            await self._writer.run(self._ledger.commit_sealed, file)
            log.info(
                "chains_sealed", file=file.path, chains=file.chain_count, rows=file.row_count, size=file.byte_count
            )

    def _is_long(self, index: str) -> bool:
        return self._history.of(index).tail_rows >= self._settings.roll_rows
