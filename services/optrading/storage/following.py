"""One index, followed without end: watched after the watermark, put in order, acknowledged when durable."""

from __future__ import annotations

import asyncio

import grpc
import structlog

from optrading.collection.v1 import collection_service_pb2 as pb
from optrading.collection.v1 import collection_service_pb2_grpc as pb_grpc
from optrading.common.backoff import Backoff
from optrading.common.clock import Clock
from optrading.common.errors import reason_of
from optrading.market.chain import ORIGIN, Position
from optrading.market.codec import position_of
from optrading.market.v1 import chain_pb2
from optrading.storage.committing import Committer
from optrading.storage.ledger import Received
from optrading.storage.ordering import Sequencer, Verdict
from optrading.storage.settings import StorageSettings

log = structlog.get_logger()

_ASKED_ENOUGH = 3
"""Streams in a row that lack the same chain, after which it is known that collection does not have it."""

_ACKNOWLEDGE_DEADLINE_S = 5.0
_FIRST_RETRY_S = 0.05
_LONGEST_RETRY_S = 2.0  # a service that restarts is back within seconds
_LEAST_SILENCE_S = 15.0  # shorter, and a collector that is only busy would be left


def retry_waits(clock: Clock) -> Backoff:
    """Return the waits of a client of collection."""
    return Backoff(clock, _FIRST_RETRY_S, _LONGEST_RETRY_S)


class Follower:
    """Takes the chains of one index from collection to the committer, each once and in order."""

    def __init__(
        self,
        index: str,
        watermark: Position,
        stub: pb_grpc.CollectionServiceAsyncStub,
        committer: Committer,
        clock: Clock,
        settings: StorageSettings,
    ) -> None:
        """Follow `index` after `watermark`."""
        self._index = index
        self._stub = stub
        self._committer = committer
        self._clock = clock
        self._settings = settings
        self._sequencer: Sequencer[Received] = Sequencer(watermark, settings.reorder_chains)
        self._backoff = retry_waits(clock)
        self._from_oldest = False
        self._missing_before: Position | None = None
        self._asked = 0
        self._durable = watermark
        self._unacknowledged = asyncio.Event()

    async def run(self) -> None:
        """Follow until cancelled; collection may come later, go and come back."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch_without_end())
            tasks.create_task(self._acknowledge_without_end())

    def committed(self, position: Position) -> None:
        """Learn that everything up to `position` is durable."""
        self._durable = position
        self._unacknowledged.set()

    async def _watch_without_end(self) -> None:
        while True:
            if self._durable != ORIGIN:
                # A process before this one may have died between commit and acknowledgement.
                self._unacknowledged.set()
            try:
                await self._watch()
            except grpc.aio.AioRpcError as error:
                reason = reason_of(error)
                if reason == "STREAM_AGE_REACHED":
                    continue
                if reason == "SEQUENCE_EVICTED":
                    self._from_oldest = True
                elif reason == "EPOCH_SUPERSEDED":
                    log.error("stale_epoch_refused", index=self._index, fence=self._sequencer.accepted.epoch)
                if self._backoff.fresh:
                    log.warning(
                        "watch_interrupted", index=self._index, status=error.code().name, reason=reason,
                        details=error.details(),
                    )  # fmt: skip
            self._sequencer.forget_held()
            await self._backoff.wait()

    async def _watch(self) -> None:
        """Read one stream until it must be asked for anew.

        Raises:
            grpc.aio.AioRpcError: The call failed, or collection ended it.
        """
        from_oldest = self._from_oldest or self._sequencer.accepted == ORIGIN
        request = pb.WatchChainsRequest(index=self._index, delivery=chain_pb2.DELIVERY_LOSSLESS)
        if not from_oldest:
            request.resume_after_epoch, request.resume_after_sequence = self._sequencer.accepted
        call = self._stub.WatchChains(request)
        # What comes first says what collection holds next: only there may a gap be accepted.
        may_skip = from_oldest or self._asked >= _ASKED_ENOUGH
        behind = 0
        try:
            while True:
                async with asyncio.timeout(self._patience_s()):
                    response = await call.read()
                if not isinstance(response, pb.WatchChainsResponse):  # grpc.aio.EOF
                    return
                if response.HasField("heartbeat"):
                    behind = behind + 1 if self._is_behind(response.heartbeat) else 0
                    if behind > 1:  # the first may have crossed a chain on its way
                        log.warning("chains_missing", index=self._index, after=self._sequencer.accepted)
                        return
                    continue
                behind = 0
                if not await self._take(response, may_skip):
                    return
                may_skip = False
        except TimeoutError:
            log.warning("watch_silent", index=self._index, holding=self._sequencer.holding)
        finally:
            call.cancel()
            self._note_missing()

    async def _take(self, response: pb.WatchChainsResponse, may_skip: bool) -> bool:
        """Handle one chain; return whether the stream is still of use."""
        position = position_of(response.chain)
        received = Received(self._index, response.chain, response.traceparent)
        if position.epoch <= 0 or position.sequence <= 0:
            log.error("unplaced_chain_refused", index=self._index, position=position)
            return False
        verdict, ready = self._sequencer.offer(position, received)
        if verdict is Verdict.AHEAD and may_skip:
            before = self._sequencer.skip_to(position)
            if before != ORIGIN or position.sequence > 1:
                log.error("history_gap_found", index=self._index, after=before, before=position)
            verdict, ready = self._sequencer.offer(position, received)
        for each in ready:
            await self._committer.submit(each)
        if verdict is Verdict.NEXT:
            self._from_oldest, self._asked, self._missing_before = False, 0, None
            self._backoff.reset()
        elif verdict is Verdict.REPEATED:
            self._unacknowledged.set()
        elif verdict is Verdict.STALE:
            # Acknowledging a newer epoch tells the collector that it has lost the index.
            log.error("stale_epoch_refused", index=self._index, position=position, fence=self._sequencer.accepted.epoch)
            self._unacknowledged.set()
            return False
        return not self._sequencer.full

    def _patience_s(self) -> float:
        if self._sequencer.holding:
            return self._settings.reorder_wait_s
        return max(3 * self._settings.heartbeat_interval_s, _LEAST_SILENCE_S)

    def _is_behind(self, heartbeat: chain_pb2.Heartbeat) -> bool:
        latest = Position(heartbeat.latest_epoch, heartbeat.latest_sequence)
        self._sequencer.announce(latest)
        return latest > self._sequencer.accepted

    def _note_missing(self) -> None:
        """Count the streams that lack the same chain."""
        first = self._sequencer.forget_held()
        if first is None:
            return
        self._asked = self._asked + 1 if first == self._missing_before else 1
        self._missing_before = first
        log.warning(
            "chains_missing", index=self._index, after=self._sequencer.accepted, before=first, asked=self._asked
        )

    async def _acknowledge_without_end(self) -> None:
        backoff = retry_waits(self._clock)
        while True:
            await self._unacknowledged.wait()
            self._unacknowledged.clear()
            epoch, sequence = self._durable
            if not epoch:
                continue
            request = pb.AcknowledgeChainsRequest(index=self._index, epoch=epoch, sequence=sequence)
            try:
                await self._stub.AcknowledgeChains(request, timeout=_ACKNOWLEDGE_DEADLINE_S)
            except grpc.aio.AioRpcError as error:
                if reason_of(error) == "EPOCH_SUPERSEDED":
                    log.error("collector_superseded", index=self._index, fence=epoch)
                    continue
                # Idempotent, so said again; by then there may be more to acknowledge.
                self._unacknowledged.set()
                await backoff.wait()
            else:
                backoff.reset()
