"""The way in: every index is followed at the collector that owns it, whoever that is by then."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import grpc
import structlog

from optrading.collection.v1 import collection_service_pb2 as pb
from optrading.common.clock import Clock
from optrading.common.collectors import Collector, Collectors
from optrading.common.errors import reason_of
from optrading.common.worker import Worker
from optrading.market.chain import Position
from optrading.storage.committing import Committer
from optrading.storage.following import Follower
from optrading.storage.gap_following import GapFollower
from optrading.storage.history import History
from optrading.storage.lane_following import LaneFollower
from optrading.storage.settings import StorageSettings
from optrading.storage.symbols import SYMBOL, is_symbol

log = structlog.get_logger()

_REFUSE_S = 5.0

Beside = Callable[[Collector], tuple[GapFollower, LaneFollower]]
"""Makes what follows a collector beside its live chains."""


class Ingest:
    """Finds collectors and indices, and follows each index at its owner."""

    def __init__(
        self,
        collectors: Collectors,
        history: History,
        writer: Worker,
        clock: Clock,
        settings: StorageSettings,
        beside: Beside,
    ) -> None:
        """Ask `collectors`; continue after the watermarks of `history`, which only the thread of `writer` changes."""
        self._collectors = collectors
        self._history = history
        self._writer = writer
        self._clock = clock
        self._settings = settings
        self._beside = beside
        self._followers: dict[str, tuple[Collector, Follower, asyncio.Task[None]]] = {}
        self._accompanied: set[Collector] = set()
        self._refused: set[str] = set()

    def committed(self, watermarks: Mapping[str, Position]) -> None:
        """Tell the followers how far they are durable."""
        for index, position in watermarks.items():
            if index in self._followers:
                self._followers[index][1].committed(position)

    async def run(self, committer: Committer) -> None:
        """Find and follow until cancelled, giving chains to `committer`."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                await self._collectors.refresh()
                for collector in self._collectors.known:
                    if collector not in self._accompanied:
                        self._accompanied.add(collector)
                        for follower in self._beside(collector):
                            tasks.create_task(follower.run())
                    await self._refuse_the_superseded(collector)
                for index in filter(self._is_symbol, self._collectors.indices):
                    await self._follow(index, committer, tasks)
                await self._clock.sleep(self._settings.discovery_interval_s)

    async def _follow(self, index: str, committer: Committer, tasks: asyncio.TaskGroup) -> None:
        """Follow `index` where it is owned; leave whoever owned it before."""
        collector = self._collectors.best_for(index)
        following = self._followers.get(index)
        if collector is None or (following is not None and following[0] is collector):
            return
        if following is not None:
            following[2].cancel()
            await asyncio.wait([following[2]])
            log.warning("owner_changed", index=index, now=collector.address, before=following[0].address)
        await self._writer.run(self._history.expect, index)
        # What the one before handed in and is not committed yet comes before anything of the next.
        watermark = self._history.of(index).watermark
        follower = Follower(index, watermark, collector.stub, committer, self._clock, self._settings)
        task = tasks.create_task(follower.run(), name=f"follow {index}")
        self._followers[index] = (collector, follower, task)
        log.info("index_followed", index=index, after=watermark, at=collector.address)

    async def _refuse_the_superseded(self, collector: Collector) -> None:
        """Tell a collector that goes on under an old epoch that somebody else owns the index."""
        for index, listing in collector.listings.items():
            watermark = self._history.of(index).watermark
            if not (collector.reachable and listing.owned and 0 < listing.latest_epoch < watermark.epoch):
                continue
            request = pb.AcknowledgeChainsRequest(index=index, epoch=watermark.epoch, sequence=watermark.sequence)
            try:
                await collector.stub.AcknowledgeChains(request, timeout=_REFUSE_S)
            except grpc.aio.AioRpcError as error:
                if reason_of(error) == "EPOCH_SUPERSEDED":
                    log.error("collector_superseded", index=index, at=collector.address, fence=watermark.epoch)

    def _is_symbol(self, index: str) -> bool:
        if is_symbol(index):
            return True
        if index not in self._refused:
            self._refused.add(index)
            log.error("index_refused", index=index, allowed=SYMBOL.pattern)
        return False
