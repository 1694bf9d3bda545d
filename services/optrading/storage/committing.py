"""Many chains, one transaction: what arrives together is committed together, for all indices."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Callable, Mapping, Sequence

import structlog

from optrading.common.clock import Clock
from optrading.common.worker import Worker
from optrading.market.chain import Position
from optrading.storage.ledger import Ledger, Received
from optrading.storage.settings import StorageSettings

log = structlog.get_logger()

_QUEUED_CHAINS = 256  # some megabytes; when it is full collection's streams wait
_FIRST_RETRY_S = 0.1
_LONGEST_RETRY_S = 5.0


class Committer:
    """Takes chains in the order of their index and makes them durable in batches."""

    def __init__(
        self,
        ledger: Ledger,
        writer: Worker,
        clock: Clock,
        settings: StorageSettings,
        on_committed: Sequence[Callable[[Mapping[str, Position]], None]],
    ) -> None:
        """Write to `ledger` in the thread of `writer`; call `on_committed` with the new watermarks after a commit."""
        self._ledger = ledger
        self._writer = writer
        self._clock = clock
        self._settings = settings
        self._on_committed = on_committed
        self._queue: asyncio.Queue[Received] = asyncio.Queue(_QUEUED_CHAINS)

    async def submit(self, received: Received) -> None:
        """Take a chain; waits while too many are waiting. Cancellation leaves it out, to be asked for again."""
        await self._queue.put(received)

    async def run(self) -> None:
        """Commit until cancelled. What is not committed by then was never acknowledged, and comes again."""
        while True:
            batch = await self._gather()
            watermarks = await self._store(batch)
            for listener in self._on_committed:
                listener(watermarks)

    async def _gather(self) -> list[Received]:
        batch = [await self._queue.get()]
        if self._queue.qsize() + 1 < self._settings.ingest_batch_chains:
            await self._clock.sleep(self._settings.ingest_linger_s)
        size = batch[0].message.ByteSize()
        while (
            len(batch) < self._settings.ingest_batch_chains
            and size < self._settings.ingest_batch_bytes
            and not self._queue.empty()
        ):
            batch.append(self._queue.get_nowait())
            size += batch[-1].message.ByteSize()
        return batch

    async def _store(self, batch: Sequence[Received]) -> Mapping[str, Position]:
        retry_s = _FIRST_RETRY_S
        while True:
            try:
                return await self._writer.run(self._ledger.store, batch)
            except sqlite3.OperationalError as error:
                # A full disk, most likely. Nothing was changed, reads go on, and collection keeps what is not stored.
                log.error("commit_failed", error=str(error), chains=len(batch), retry_s=retry_s)
            await self._clock.sleep(retry_s * random.uniform(0.5, 1.0))
            retry_s = min(2 * retry_s, _LONGEST_RETRY_S)
