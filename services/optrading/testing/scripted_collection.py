"""A collection service that does as it is told, over real gRPC: for tests of those who follow collection.

By default it behaves: what is published is kept and streamed in order, losslessly after a position. A script replaces
what one stream sends, so that repeats, holes, old epochs and broken calls can be had on demand.
"""

# ruff: noqa: N802, ARG002  # a servicer: methods are named, and their arguments given, by the contract

from __future__ import annotations

import asyncio
import math
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager

from optrading.collection.v1 import collection_service_pb2 as pb
from optrading.collection.v1 import collection_service_pb2_grpc as pb_grpc
from optrading.common.errors import OutOfRange, ServiceError, Unavailable
from optrading.common.interceptors import Context
from optrading.common.selection import check_index
from optrading.common.serving import serve
from optrading.common.settings import ServiceSettings
from optrading.market.chain import ORIGIN, Position
from optrading.market.codec import position_of
from optrading.market.v1 import chain_pb2
from optrading.testing.scripted_ledgers import ScriptedLedgers

Step = pb.WatchChainsResponse | ServiceError
"""What a scripted stream does next: send this, or end with that."""


def chain_step(chain: chain_pb2.ChainSnapshot, traceparent: str = "") -> pb.WatchChainsResponse:
    """Return the response that carries `chain`."""
    return pb.WatchChainsResponse(chain=chain, traceparent=traceparent)


def heartbeat_step(position: Position) -> pb.WatchChainsResponse:
    """Return a heartbeat that names `position` as the newest."""
    return pb.WatchChainsResponse(
        heartbeat=chain_pb2.Heartbeat(latest_epoch=position.epoch, latest_sequence=position.sequence)
    )


class ScriptedCollection(ScriptedLedgers):
    """Serves what tests publish or script.

    Attributes:
        port: TCP port it listens on; 0 before it does.
        watches: Every WatchChains request received, in order.
        acknowledged: Greatest position acknowledged, by index.
        acknowledgements: Every position acknowledged, in order, by index.
    """

    def __init__(self, indices: Sequence[str] = ("NIFTY",), heartbeat_interval_s: float = 1.0) -> None:
        """Collect `indices`; nothing is published yet."""
        self.port = 0
        self.watches: list[pb.WatchChainsRequest] = []
        self.acknowledged: dict[str, Position] = {}
        self.acknowledgements: dict[str, list[Position]] = defaultdict(list)
        super().__init__(heartbeat_interval_s)
        self._heartbeat_interval_s = heartbeat_interval_s
        self._kept: dict[str, list[pb.WatchChainsResponse]] = {index: [] for index in indices}
        self._trimmed: dict[str, Position] = {}
        self._scripts: dict[str, deque[list[Step]]] = defaultdict(deque)
        self._refusals: dict[str, deque[ServiceError]] = defaultdict(deque)

    def add_index(self, index: str) -> None:
        """Collect `index` too; nothing of it is published yet."""
        self._kept.setdefault(index, [])

    async def publish(self, *chains: chain_pb2.ChainSnapshot, traceparent: str = "") -> None:
        """Keep `chains` and send them to those who watch; their index becomes known."""
        async with self._changed:
            for chain in chains:
                self._kept.setdefault(chain.index, []).append(chain_step(chain, traceparent))
            self._changed.notify_all()

    async def trim(self, index: str, up_to: Position) -> None:
        """Forget the chains of `index` up to `up_to`: a position before it is evicted."""
        async with self._changed:
            self._kept[index] = [each for each in self._kept[index] if position_of(each.chain) > up_to]
            self._trimmed[index] = up_to
            self._changed.notify_all()

    def script_watch(self, index: str, steps: Iterable[Step]) -> None:
        """Have one further stream of `index` take `steps`, then stay open unless the last one is an error."""
        self._scripts[index].append(list(steps))

    def refuse_acknowledgement(self, index: str, error: ServiceError) -> None:
        """Answer the next acknowledgement of `index` with `error`."""
        self._refusals[index].append(error)

    async def wait_acknowledged(self, index: str, position: Position, timeout_s: float = 20.0) -> None:
        """Wait until `index` is acknowledged up to `position`.

        Raises:
            TimeoutError: It is not within `timeout_s` seconds.
        """
        async with asyncio.timeout(timeout_s), self._changed:
            await self._changed.wait_for(lambda: self.acknowledged.get(index, ORIGIN) >= position)

    async def wait_watches(self, count: int, timeout_s: float = 20.0) -> None:
        """Wait until `count` streams were begun.

        Raises:
            TimeoutError: They are not within `timeout_s` seconds.
        """
        async with asyncio.timeout(timeout_s), self._changed:
            await self._changed.wait_for(lambda: len(self.watches) >= count)

    async def wait_refused(self, index: str, timeout_s: float = 20.0) -> None:
        """Wait until every refusal asked for was given.

        Raises:
            TimeoutError: It is not within `timeout_s` seconds.
        """
        async with asyncio.timeout(timeout_s), self._changed:
            await self._changed.wait_for(lambda: not self._refusals[index])

    async def ListIndices(self, request: pb.ListIndicesRequest, context: Context) -> pb.ListIndicesResponse:
        """List what there is."""
        return pb.ListIndicesResponse(indices=[self._listing(index) for index in sorted(self._kept)])

    async def GetChain(self, request: pb.GetChainRequest, context: Context) -> pb.GetChainResponse:
        """Return the newest chain, whole."""
        check_index(request.index, self._kept)
        if not self._kept[request.index]:
            raise Unavailable(f"{request.index} has no chain yet", reason="NO_CHAIN_YET")
        return pb.GetChainResponse(chain=self._kept[request.index][-1].chain)

    async def WatchChains(
        self, request: pb.WatchChainsRequest, context: Context
    ) -> AsyncIterator[pb.WatchChainsResponse]:
        """Stream by script, or losslessly after the position asked for."""
        check_index(request.index, self._kept)
        async with self._changed:
            self.watches.append(request)
            self._changed.notify_all()
        scripts = self._scripts[request.index]
        if scripts:
            for step in scripts.popleft():
                if isinstance(step, ServiceError):
                    raise step
                yield step
            await asyncio.Event().wait()  # until the caller goes away
        position = self._trimmed.get(request.index, ORIGIN)
        if request.HasField("resume_after_sequence"):
            position = Position(request.resume_after_epoch, request.resume_after_sequence)
        while True:
            if position < self._trimmed.get(request.index, ORIGIN):
                raise OutOfRange("the position is no longer kept", reason="SEQUENCE_EVICTED")
            for response in [each for each in self._kept[request.index] if position_of(each.chain) > position]:
                yield response
                position = position_of(response.chain)
            if not await self._wait_after(request.index, position):
                yield heartbeat_step(position)

    async def AcknowledgeChains(
        self, request: pb.AcknowledgeChainsRequest, context: Context
    ) -> pb.AcknowledgeChainsResponse:
        """Note the position, unless a refusal was asked for."""
        check_index(request.index, self._kept)
        if self._refusals[request.index]:
            async with self._changed:
                error = self._refusals[request.index].popleft()
                self._changed.notify_all()
            raise error
        position = Position(request.epoch, request.sequence)
        async with self._changed:
            self.acknowledgements[request.index].append(position)
            self.acknowledged[request.index] = max(position, self.acknowledged.get(request.index, ORIGIN))
            self._changed.notify_all()
        return pb.AcknowledgeChainsResponse()

    async def _wait_after(self, index: str, position: Position) -> bool:
        def newer() -> bool:
            kept = self._kept[index]
            return bool(kept) and position_of(kept[-1].chain) > position

        try:
            async with asyncio.timeout(self._heartbeat_interval_s), self._changed:
                await self._changed.wait_for(newer)
        except TimeoutError:
            return False
        return True

    def _listing(self, index: str) -> pb.IndexListing:
        listing = pb.IndexListing(index=index, source="scripted", spot_inr=math.nan, owned=True)
        if self._kept[index]:
            chain = self._kept[index][-1].chain
            listing.latest_epoch, listing.latest_sequence = position_of(chain)
            listing.event_time.CopyFrom(chain.event_time)
            listing.clock_time.CopyFrom(chain.event_time)
            listing.spot_inr = chain.spot_inr
            listing.expiries.extend(
                pb.ListedExpiry(
                    expiry=each.expiry, buckets=each.buckets, lot_size=each.lot_size, strike_count=len(each.strike_inr)
                )
                for each in chain.expiries
            )
        return listing


@asynccontextmanager
async def scripted_collection(
    settings: ServiceSettings, collection: ScriptedCollection | None = None
) -> AsyncIterator[ScriptedCollection]:
    """Serve `collection` (a new one unless given) at the listen address of `settings` while the block runs."""
    collection = collection or ScriptedCollection()

    async with serve(
        settings, "collection", lambda server: pb_grpc.add_CollectionServiceServicer_to_server(collection, server)
    ) as server:
        collection.port = server.port
        await server.set_serving(True)
        yield collection
