"""A collector that is a client of a broker under test, and a storage behind it, all in this process."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import grpc
from pydantic import SecretStr

from optrading.collection.feeds.kite.session import KiteSession, valid_until, write_session
from optrading.collection.feeds.opening import open_feed
from optrading.collection.service import RunningCollection, run_collection
from optrading.collection.settings import CollectionSettings
from optrading.common.clock import SystemClock
from optrading.market.chain import Chain
from optrading.market.codec import decode_chain
from optrading.market.v1 import gap_pb2
from optrading.storage.service import run_storage
from optrading.storage.settings import StorageSettings
from optrading.storage.v1 import storage_service_pb2 as pb
from optrading.storage.v1.storage_service_pb2_grpc import StorageServiceStub
from optrading.testing.kite import KiteBroker

SOAK = bool(os.environ.get("OPTRADING_SOAK"))
SEED = int(os.environ.get("OPTRADING_SEED", "20260818"))


@dataclass(frozen=True)
class Rig:
    """What a proof looks at."""

    broker: KiteBroker
    home: Path
    collection: RunningCollection
    storage: StorageServiceStub

    def newest(self, index: str) -> Chain | None:
        """Return the newest chain that the collector shows."""
        snapshot = self.collection.board.newest(index)
        return None if snapshot is None else decode_chain(snapshot.message)

    async def stored(self, index: str) -> list[Chain]:
        """Return what storage has, once it has all that was collected."""
        position = self.collection.board.newest(index).record.position
        async for _ in ticking():
            marks = {
                mark.index: mark for mark in (await self.storage.ListWatermarks(pb.ListWatermarksRequest())).watermarks
            }
            if index in marks and (marks[index].epoch, marks[index].sequence) >= position:
                break
        return [decode_chain(each.chain) async for each in self.storage.ReadChains(pb.ReadChainsRequest(index=index))]

    async def gaps(self, index: str) -> list[gap_pb2.Gap]:
        """Return the gaps that storage lists."""
        return list((await self.storage.ListGaps(pb.ListGapsRequest(index=index))).gaps)

    async def log_in(self, access_token: str) -> None:
        """Put a session where the collector finds it, as `optrading kite login` does."""
        log_in(self.home, self.broker, access_token)


def log_in(home: Path, broker: KiteBroker, access_token: str) -> None:
    """Put a session where the collector finds it."""
    now = datetime.now(UTC)
    account = broker.account
    session = KiteSession(account.api_key, SecretStr(access_token), "DM0001", "Demo User", now, valid_until(now))
    write_session(home / "kite", session)


async def ticking(pause_s: float = 0.02) -> AsyncIterator[None]:
    """Yield again and again: for what nothing tells of."""
    while True:
        yield
        await asyncio.sleep(pause_s)


async def until(condition: Callable[[], object] | Callable[[], Awaitable[object]], timeout_s: float) -> None:
    """Return when `condition` holds.

    Raises:
        TimeoutError: It does not.
    """
    async with asyncio.timeout(timeout_s):
        async for _ in ticking():
            answer = condition()
            if await answer if isinstance(answer, Awaitable) else answer:
                return


@asynccontextmanager
async def collecting(broker: KiteBroker, home: Path, **changes: object) -> AsyncIterator[Rig]:
    """Collect from `broker` and store while the block runs."""
    log_in(home, broker, broker.account.new_access_token())
    common = {"home": home, "mesh_tls": "sidecar", "listen_address": "127.0.0.1:0", "drain_s": 0.0}
    collected = {
        "feed": "kite",
        "kite_api_key": broker.account.api_key,
        "kite_api_secret": broker.account.api_secret,
        "kite_rest_url": broker.rest_url,
        "kite_ticker_url": broker.ticker_url,
        "kite_login_url": broker.login_url,
        "kite_indices": ",".join(broker.indices),
        "active_strike_offsets": "all",
        **changes,
    }
    settings = CollectionSettings.model_validate({**common, **collected})
    clock = SystemClock()
    feed = await asyncio.to_thread(open_feed, settings, clock)
    async with run_collection(settings, feed, clock) as collection:
        address = f"127.0.0.1:{collection.port}"
        quick = {"discovery_interval_s": 0.05, "ingest_linger_s": 0.001}
        storing = StorageSettings.model_validate({**common, **quick, "collection_address": address})
        async with (
            run_storage(storing, clock) as storage,
            grpc.aio.insecure_channel(f"127.0.0.1:{storage.port}") as channel,
        ):
            yield Rig(broker, home, collection, StorageServiceStub(channel))
