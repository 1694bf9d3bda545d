"""The way in: every index that collection has is followed, from its first chain on, for as long as storage runs."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping

import grpc
import structlog

from optrading.collection.v1 import collection_service_pb2 as pb
from optrading.collection.v1 import collection_service_pb2_grpc as pb_grpc
from optrading.common.clock import Clock
from optrading.common.worker import Worker
from optrading.market.chain import Position
from optrading.storage.committing import Committer
from optrading.storage.following import Follower, retry_waits
from optrading.storage.history import History
from optrading.storage.settings import StorageSettings

log = structlog.get_logger()

_SYMBOL = re.compile(r"[A-Za-z0-9_&-]{1,32}")
"""Index symbols become names of folders; anything else is refused."""

_LIST_DEADLINE_S = 5.0


def is_symbol(index: str) -> bool:
    """Return whether `index` may become the name of a folder."""
    return _SYMBOL.fullmatch(index) is not None


class Ingest:
    """Finds indices and follows each of them."""

    def __init__(
        self,
        stub: pb_grpc.CollectionServiceAsyncStub,
        history: History,
        writer: Worker,
        clock: Clock,
        settings: StorageSettings,
    ) -> None:
        """Ask `stub`; continue after the watermarks of `history`, which only the thread of `writer` changes."""
        self._stub = stub
        self._history = history
        self._writer = writer
        self._clock = clock
        self._settings = settings
        self._followers: dict[str, Follower] = {}
        self._refused: set[str] = set()

    def committed(self, watermarks: Mapping[str, Position]) -> None:
        """Tell the followers how far they are durable."""
        for index, position in watermarks.items():
            self._followers[index].committed(position)

    async def run(self, committer: Committer) -> None:
        """Find and follow until cancelled, giving chains to `committer`."""
        backoff = retry_waits(self._clock)
        async with asyncio.TaskGroup() as tasks:
            while True:
                try:
                    answer = await self._stub.ListIndices(pb.ListIndicesRequest(), timeout=_LIST_DEADLINE_S)
                except grpc.aio.AioRpcError as error:
                    if backoff.fresh:
                        log.warning("collection_unreachable", status=error.code().name, details=error.details())
                    await backoff.wait()
                    continue
                backoff.reset()
                for listing in answer.indices:
                    if listing.index not in self._followers and self._is_symbol(listing.index):
                        follower = await self._begin(listing.index, committer)
                        tasks.create_task(follower.run(), name=f"follow {listing.index}")
                await self._clock.sleep(self._settings.discovery_interval_s)

    async def _begin(self, index: str, committer: Committer) -> Follower:
        await self._writer.run(self._history.expect, index)
        watermark = self._history.of(index).watermark
        follower = Follower(index, watermark, self._stub, committer, self._clock, self._settings)
        self._followers[index] = follower
        log.info("index_followed", index=index, after=watermark)
        return follower

    def _is_symbol(self, index: str) -> bool:
        if is_symbol(index):
            return True
        if index not in self._refused:
            self._refused.add(index)
            log.error("index_refused", index=index, allowed=_SYMBOL.pattern)
        return False
