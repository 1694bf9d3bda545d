"""Where analytics gets its chains: one lossless stream per index from collection, for as long as the service runs."""

from __future__ import annotations

import asyncio
import random

import grpc
import structlog

from optrading.analytics.pipeline import AnalyticsPipeline
from optrading.collection.v1 import collection_service_pb2 as pb
from optrading.collection.v1 import collection_service_pb2_grpc as pb_grpc
from optrading.common.errors import reason_of
from optrading.market.v1 import chain_pb2

log = structlog.get_logger()

_LIST_EVERY_S = 5.0
"""A collector that restarts on another recording brings other indices."""
_CALL_TIMEOUT_S = 5.0
_FIRST_RETRY_S = 0.1
_LONGEST_RETRY_S = 2.0


class Upstream:
    """Follows every index that collection lists and hands each chain to the pipeline, in order."""

    def __init__(self, channel: grpc.aio.Channel, pipeline: AnalyticsPipeline) -> None:
        """Pull through `channel` into `pipeline`."""
        self._stub = pb_grpc.CollectionServiceStub(channel)
        self._pipeline = pipeline

    async def run(self) -> None:
        """Follow until cancelled; a collector that is away is tried again for ever."""
        followed: set[str] = set()
        async with asyncio.TaskGroup() as tasks:
            while True:
                try:
                    answer = await self._stub.ListIndices(pb.ListIndicesRequest(), timeout=_CALL_TIMEOUT_S)
                except grpc.aio.AioRpcError as error:
                    log.warning("indices_not_listed", code=error.code().name, error=error.details())
                    await asyncio.sleep(_FIRST_RETRY_S * random.uniform(5, 10))
                    continue
                for index in {listing.index for listing in answer.indices} - followed:
                    tasks.create_task(self._follow(index), name=f"follow {index}")
                    followed.add(index)
                await asyncio.sleep(_LIST_EVERY_S)

    async def _follow(self, index: str) -> None:
        retry_s = _FIRST_RETRY_S
        from_oldest = False
        while True:
            request = pb.WatchChainsRequest(index=index, delivery=chain_pb2.DELIVERY_LOSSLESS)
            point = None if from_oldest else await self._pipeline.resume_point(index)
            if point is not None:
                request.resume_after_epoch, request.resume_after_sequence = point
            from_oldest = False
            try:
                async for response in self._stub.WatchChains(request):
                    retry_s = _FIRST_RETRY_S
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
            await asyncio.sleep(retry_s * random.uniform(0.5, 1.0))
            retry_s = min(2 * retry_s, _LONGEST_RETRY_S)
