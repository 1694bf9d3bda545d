"""Side lanes, fetched until nothing is missing: tails of old terms, imports, and chains made from a feed's history."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import grpc
import structlog

from optrading.collection.v1 import collection_service_pb2 as pb
from optrading.collection.v1 import collection_service_pb2_grpc as pb_grpc
from optrading.common.clock import Clock
from optrading.common.worker import Worker
from optrading.market.chain import Position
from optrading.market.codec import position_of
from optrading.storage.following import retry_waits
from optrading.storage.history import History
from optrading.storage.ledger import Ledger, Received
from optrading.storage.settings import StorageSettings
from optrading.storage.symbols import is_symbol

log = structlog.get_logger()

_CALL_S = 5.0
_READ_S = 120.0
"""A lane that takes longer is gone on with in the next round."""


class LaneFollower:
    """Takes the side lanes of one collector to storage, each chain once and in order."""

    def __init__(
        self,
        stub: pb_grpc.CollectionServiceAsyncStub,
        ledger: Ledger,
        history: History,
        writer: Worker,
        clock: Clock,
        settings: StorageSettings,
    ) -> None:
        """Ask `stub`; write to `ledger` in the thread of `writer`."""
        self._stub = stub
        self._ledger = ledger
        self._history = history
        self._writer = writer
        self._clock = clock
        self._settings = settings

    async def run(self) -> None:
        """Look for what is missing until cancelled; a collector that is away is asked again later."""
        backoff = retry_waits(self._clock)
        while True:
            try:
                answer = await self._stub.ListLanes(pb.ListLanesRequest(), timeout=_CALL_S)
                for lane in answer.lanes:
                    await self._follow(lane)
            except grpc.aio.AioRpcError as error:
                if backoff.fresh:
                    log.warning("lanes_interrupted", status=error.code().name, details=error.details())
                await backoff.wait()
                continue
            except sqlite3.OperationalError as error:
                # A full disk, most likely: nothing was changed, and nothing acknowledged.
                log.error("lane_not_stored", error=str(error))
                await backoff.wait()
                continue
            backoff.reset()
            await self._clock.sleep(self._settings.discovery_interval_s)

    async def _follow(self, lane: pb.Lane) -> None:
        if not is_symbol(lane.index) or lane.epoch <= 0:
            log.error("lane_refused", index=lane.index, epoch=lane.epoch)
            return
        if lane.kind == pb.LANE_KIND_RETIRED and lane.epoch >= self._history.of(lane.index).watermark.epoch:
            return  # the live stream of its collector still brings it, in order
        await self._writer.run(self._history.expect, lane.index)
        stored = await self._writer.run(self._ledger.lane_watermark, lane.index, lane.epoch)
        if stored < lane.last_sequence:
            if stored + 1 < lane.first_sequence:
                first = lane.first_sequence
                log.error("history_gap_found", index=lane.index, epoch=lane.epoch, after=stored, before=first)
                stored = first - 1
            stored = await self._read(lane, stored)
        if stored:
            request = pb.AcknowledgeChainsRequest(index=lane.index, epoch=lane.epoch, sequence=stored)
            await self._stub.AcknowledgeChains(request, timeout=_CALL_S)

    async def _read(self, lane: pb.Lane, after: int) -> int:
        """Store the chains of `lane` after a sequence; return the last one that is durable."""
        request = pb.ReadLaneRequest(index=lane.index, epoch=lane.epoch, resume_after_sequence=after)
        call = self._stub.ReadLane(request, timeout=_READ_S)
        batch: list[Received] = []
        try:
            async for response in call:
                position = position_of(response.chain)
                if position != Position(lane.epoch, after + 1):
                    log.error("lane_out_of_order", index=lane.index, position=position, after=after)
                    break
                batch.append(Received(lane.index, response.chain, response.traceparent))
                after += 1
                if len(batch) >= self._settings.ingest_batch_chains:
                    await self._store(batch)
                    batch = []
        finally:
            call.cancel()
        if batch:
            await self._store(batch)
        log.info("lane_stored", index=lane.index, epoch=lane.epoch, up_to=after)
        return after

    async def _store(self, batch: Sequence[Received]) -> None:
        await self._writer.run(self._ledger.store_lane, batch)
