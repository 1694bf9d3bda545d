"""All collectors there are, and which of them has which index now: for those who pull chains."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import grpc
import structlog

from optrading.collection.v1 import collection_service_pb2 as pb
from optrading.collection.v1 import collection_service_pb2_grpc as pb_grpc
from optrading.common.channels import open_channel
from optrading.common.redis_client import open_redis
from optrading.common.registry import Registry
from optrading.common.settings import ServiceSettings

log = structlog.get_logger()

SERVICE = "collection"
_LIST_S = 5.0
_MEMORY = "registry.json"


@dataclass(slots=True, eq=False)
class Collector:
    """One collector.

    Attributes:
        address: host:port.
        stub: Calls it.
        listings: What it listed last, by index.
        reachable: Whether it answered when it was asked last.
    """

    address: str
    stub: pb_grpc.CollectionServiceAsyncStub
    listings: Mapping[str, pb.IndexListing] = field(default_factory=dict)
    reachable: bool = True


class Collectors:
    """Knows collectors by the settings and by the registry. What it knows of one that is away stays known."""

    def __init__(self, settings: ServiceSettings, caller: str, registry: Registry | None) -> None:
        """Call collectors as the workload `caller`; find more of them in `registry`."""
        self._settings = settings
        self._caller = caller
        self._registry = registry
        self._channels: dict[str, grpc.aio.Channel] = {}
        self._known: dict[str, Collector] = {}

    @property
    def known(self) -> list[Collector]:
        """Return every collector that was ever found."""
        return list(self._known.values())

    @property
    def indices(self) -> list[str]:
        """Return every index that any of them listed, by name."""
        return sorted({index for each in self._known.values() for index in each.listings})

    async def refresh(self) -> None:
        """Find collectors and ask each what it has; those that do not answer keep what they said last."""
        addresses = [each.strip() for each in self._settings.collection_address.split(",") if each.strip()]
        if self._registry is not None:
            found = await self._registry.discover(SERVICE)
            addresses += [each.address for each in found.instances]
        for address in dict.fromkeys(addresses):
            if address not in self._known:
                channel = open_channel(self._settings, self._caller, SERVICE, address)
                self._channels[address] = channel
                self._known[address] = Collector(address, pb_grpc.CollectionServiceStub(channel))
        await asyncio.gather(*(self._ask(each) for each in self.known))

    async def _ask(self, collector: Collector) -> None:
        try:
            answer = await collector.stub.ListIndices(pb.ListIndicesRequest(), timeout=_LIST_S)
        except grpc.aio.AioRpcError as error:
            if collector.reachable:
                log.warning("collector_unreachable", address=collector.address, status=error.code().name)
            collector.reachable = False
            return
        collector.reachable = True
        collector.listings = {listing.index: listing for listing in answer.indices}

    def best_for(self, index: str) -> Collector | None:
        """Return where to watch `index`: who owns it with the greatest epoch.

        Where nobody says that it is his, whoever has chains of it that end there: a recording that is over, an index
        that only an earlier feed had. None while its owner is being replaced.
        """
        listing = [(each, each.listings[index]) for each in self._known.values() if index in each.listings]
        owners = [pair for pair in listing if pair[1].owned and pair[0].reachable]
        others = [pair for pair in listing if pair[1].finished and pair[1].latest_epoch]
        found = max(owners or others, key=lambda pair: pair[1].latest_epoch, default=None)
        return found[0] if found is not None else None

    async def close(self) -> None:
        """Close every channel."""
        await asyncio.gather(*(channel.close() for channel in self._channels.values()))


@asynccontextmanager
async def find_collectors(settings: ServiceSettings, caller: str) -> AsyncIterator[Collectors]:
    """Know collectors while the block runs; see `Collectors`."""
    if settings.redis_url is None:
        collectors = Collectors(settings, caller, None)
        try:
            yield collectors
        finally:
            await collectors.close()
        return
    async with open_redis(settings.redis_url) as redis:
        collectors = Collectors(settings, caller, Registry(redis, settings.state(caller) / _MEMORY))
        try:
            yield collectors
        finally:
            await collectors.close()
