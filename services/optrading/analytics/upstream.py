"""Where analytics gets its chains: one lossless stream per index from its owner, for as long as the service runs."""

from __future__ import annotations

import asyncio

import grpc
import structlog

from optrading.analytics.pipeline import AnalyticsPipeline
from optrading.collection.v1 import collection_service_pb2 as pb
from optrading.common.backoff import Backoff
from optrading.common.clock import Clock
from optrading.common.collectors import Collector, Collectors
from optrading.common.errors import reason_of
from optrading.market.v1 import chain_pb2

log = structlog.get_logger()

_LIST_EVERY_S = 1.0
"""A collector that dies is replaced within seconds, and another recording brings other indices."""
_FIRST_RETRY_S = 0.1
_LONGEST_RETRY_S = 2.0


class Upstream:
    """Follows every index that collectors list and hands each chain to the pipeline, in order."""

    def __init__(self, collectors: Collectors, pipeline: AnalyticsPipeline, clock: Clock) -> None:
        """Pull from `collectors` into `pipeline`."""
        self._collectors = collectors
        self._pipeline = pipeline
        self._clock = clock
        self._followed: dict[str, tuple[Collector, asyncio.Task[None]]] = {}

    async def run(self) -> None:
        """Follow until cancelled; a collector that is away is tried again for ever."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                await self._collectors.refresh()
                for index in self._collectors.indices:
                    await self._turn_to_owner(index, tasks)
                await self._clock.sleep(_LIST_EVERY_S)

    async def _turn_to_owner(self, index: str, tasks: asyncio.TaskGroup) -> None:
        collector = self._collectors.best_for(index)
        followed = self._followed.get(index)
        if collector is None or (followed is not None and followed[0] is collector):
            return
        if followed is not None:
            followed[1].cancel()
            await asyncio.wait([followed[1]])
        task = tasks.create_task(self._follow(index, collector), name=f"follow {index}")
        self._followed[index] = (collector, task)

    async def _follow(self, index: str, collector: Collector) -> None:
        backoff = Backoff(self._clock, _FIRST_RETRY_S, _LONGEST_RETRY_S)
        from_oldest = False
        while True:
            request = pb.WatchChainsRequest(index=index, delivery=chain_pb2.DELIVERY_LOSSLESS)
            point = None if from_oldest else await self._pipeline.resume_point(index)
            if point is not None:
                request.resume_after_epoch, request.resume_after_sequence = point
            from_oldest = False
            try:
                async for response in collector.stub.WatchChains(request):
                    backoff.reset()
                    if response.HasField("chain"):
                        await self._pipeline.take(response)
            except grpc.aio.AioRpcError as error:
                reason = reason_of(error)
                if reason == "SEQUENCE_EVICTED":
                    # Storage has what is gone here; volatilities of the present need the present.
                    log.warning("chains_passed_over", index=index, after=point, error=error.details())
                    from_oldest = True
                elif reason != "STREAM_AGE_REACHED":
                    log.warning("stream_ended", index=index, code=error.code().name, error=error.details())
            await backoff.wait()
