"""The services behind the gateway, real over gRPC and mTLS, with canned answers."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import grpc

from optrading.analytics.v1 import analytics_service_pb2 as analytics
from optrading.analytics.v1 import analytics_service_pb2_grpc as analytics_grpc
from optrading.collection.v1 import collection_service_pb2 as collection
from optrading.collection.v1 import collection_service_pb2_grpc as collection_grpc
from optrading.common.errors import DataLoss, NotFound, Unavailable
from optrading.identity.v1 import identity_service_pb2 as identity
from optrading.identity.v1 import identity_service_pb2_grpc as identity_grpc
from optrading.market.v1 import chain_pb2, gap_pb2
from optrading.storage.v1 import storage_service_pb2 as storage
from optrading.storage.v1 import storage_service_pb2_grpc as storage_grpc

Call = tuple[str, dict[str, str | bytes]]

STRIKES = [24500.0, 24550.0, 24600.0]


def chain(index: str = "NIFTY", sequence: int = 1, strikes: int = 3) -> chain_pb2.ChainSnapshot:
    strike_inr = [24500.0 + 50 * step for step in range(strikes)]
    legs = chain_pb2.LegColumns(last_inr=[math.nan] * strikes, volume_units=strike_inr)
    expiry = chain_pb2.ExpiryChain(expiry="2026-08-18", lot_size=75, strike_inr=strike_inr, call=legs, put=legs)
    snapshot = chain_pb2.ChainSnapshot(
        index=index, epoch=7, sequence=sequence, spot_inr=24521.5, expiries=[expiry], source="synthetic"
    )
    snapshot.event_time.FromJsonString("2026-08-18T10:00:00Z")
    return snapshot


class Recorder:
    """Remembers every call that reached a service."""

    def __init__(self) -> None:
        self._calls: list[Call] = []

    def note(self, method: str, context: grpc.aio.ServicerContext) -> None:
        self._calls.append((method, dict(context.invocation_metadata() or ())))

    @contextmanager
    def listening(self) -> Iterator[list[Call]]:
        """Collect the calls that arrive inside the block."""
        heard: list[Call] = []
        start = len(self._calls)
        yield heard
        heard += self._calls[start:]


class Collection(collection_grpc.CollectionServiceServicer):
    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def _note(self, name, context):
        self._recorder.note(f"/optrading.collection.v1.CollectionService/{name}", context)

    async def ListIndices(self, request, context):
        self._note("ListIndices", context)
        return collection.ListIndicesResponse(indices=[collection.IndexListing(index="NIFTY", spot_inr=math.nan)])

    async def GetChain(self, request, context):
        self._note("GetChain", context)
        if request.index == "LARGE":
            return collection.GetChainResponse(chain=chain("LARGE", strikes=60_000))
        if request.index == "SLOW":
            await asyncio.sleep(60)
        if request.index == "BROKEN":
            raise RuntimeError("a secret of the inside")
        if request.index != "NIFTY":
            raise NotFound(
                f"index {request.index} is not collected; known: NIFTY", reason="UNKNOWN_INDEX", field="index"
            )
        return collection.GetChainResponse(chain=chain())

    async def WatchChains(self, request, context) -> AsyncIterator[collection.WatchChainsResponse]:
        self._note("WatchChains", context)
        if request.index == "GONE":
            raise NotFound("index GONE is not collected; known: NIFTY", reason="UNKNOWN_INDEX", field="index")
        first = request.resume_after_sequence + 1
        yield collection.WatchChainsResponse(chain=chain(request.index, first))
        if request.index == "ENDLESS":
            await asyncio.Event().wait()
        yield collection.WatchChainsResponse(heartbeat=chain_pb2.Heartbeat(latest_epoch=7, latest_sequence=first))
        if request.index == "AGED":
            raise Unavailable("the stream has reached its age; resume", reason="STREAM_AGE_REACHED")

    async def AcknowledgeChains(self, request, context):
        self._note("AcknowledgeChains", context)
        return collection.AcknowledgeChainsResponse()

    async def WatchGaps(self, request, context) -> AsyncIterator[collection.WatchGapsResponse]:
        self._note("WatchGaps", context)
        yield collection.WatchGapsResponse(ledger_id="ledger")

    async def ListLanes(self, request, context):
        self._note("ListLanes", context)
        return collection.ListLanesResponse()

    async def ReadLane(self, request, context) -> AsyncIterator[collection.ReadLaneResponse]:
        self._note("ReadLane", context)
        yield collection.ReadLaneResponse(chain=chain())

    async def BeginImport(self, request, context):
        self._note("BeginImport", context)
        return collection.BeginImportResponse(import_id=request.sha256)

    async def ImportChains(self, request, context):
        self._note("ImportChains", context)
        return collection.ImportChainsResponse(
            position=request.position + len(request.chains), added_chain_count=len(request.chains)
        )


class Storage(storage_grpc.StorageServiceServicer):
    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def _note(self, name, context):
        self._recorder.note(f"/optrading.storage.v1.StorageService/{name}", context)

    async def GetChain(self, request, context):
        self._note("GetChain", context)
        answer = storage.GetChainResponse(chain=chain())
        if request.HasField("as_of"):
            answer.chain.event_time.CopyFrom(request.as_of)
        return answer

    async def ReadChains(self, request, context) -> AsyncIterator[storage.ReadChainsResponse]:
        self._note("ReadChains", context)
        for sequence in (1, 2, 3):
            answer = storage.ReadChainsResponse(chain=chain(sequence=sequence))
            answer.chain.expiries[0].strike_inr[:] = list(request.strike_inr) or STRIKES
            yield answer
        if request.index == "DAMAGED":
            raise DataLoss("a sealed file does not match its checksum", reason="DAMAGED_FILE")

    async def ListWatermarks(self, request, context):
        self._note("ListWatermarks", context)
        return storage.ListWatermarksResponse(watermarks=[storage.Watermark(index="NIFTY", epoch=7, sequence=288)])

    async def ListGaps(self, request, context):
        self._note("ListGaps", context)
        gap = gap_pb2.Gap(gap_id="gap", index=request.index, cause=max([*request.cause, gap_pb2.GAP_CAUSE_DISCONNECT]))
        for name in ("start_time", "end_time"):
            if request.HasField(name):
                getattr(gap, name).CopyFrom(getattr(request, name))
        return storage.ListGapsResponse(gaps=[gap], completeness=0.9875)


class Analytics(analytics_grpc.AnalyticsServiceServicer):
    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def _note(self, name, context):
        self._recorder.note(f"/optrading.analytics.v1.AnalyticsService/{name}", context)

    async def GetGreeks(self, request, context):
        self._note("GetGreeks", context)
        legs = analytics.LegAnalytics(status=[analytics.LEG_STATUS_OK], implied_vol=[0.125], delta=[math.nan])
        expiry = analytics.ExpiryAnalytics(expiry="2026-08-18", strike_inr=STRIKES[:1], call=legs, put=legs)
        snapshot = analytics.AnalyticsSnapshot(index=request.index, epoch=7, sequence=1, expiries=[expiry])
        return analytics.GetGreeksResponse(analytics=snapshot)

    async def GetSummary(self, request, context):
        self._note("GetSummary", context)
        return analytics.GetSummaryResponse(index=request.index, epoch=7, sequence=1)

    async def WatchAnalytics(self, request, context) -> AsyncIterator[analytics.WatchAnalyticsResponse]:
        self._note("WatchAnalytics", context)
        for sequence in (1, 2):
            snapshot = analytics.AnalyticsSnapshot(index=request.index, epoch=7, sequence=sequence)
            yield analytics.WatchAnalyticsResponse(analytics=snapshot)


class Identity(identity_grpc.IdentityServiceServicer):
    def __init__(self, recorder: Recorder, keys: list[identity.JsonWebKey]) -> None:
        self._recorder = recorder
        self._keys = keys

    def _note(self, name, context):
        self._recorder.note(f"/optrading.identity.v1.IdentityService/{name}", context)

    async def Login(self, request, context):
        self._note("Login", context)
        return identity.LoginResponse(access_token="a.b.c", refresh_token="r", token_type="bearer", expires_in=60)

    async def RefreshToken(self, request, context):
        self._note("RefreshToken", context)
        return identity.RefreshTokenResponse(
            access_token="a.b.c", refresh_token="s", token_type="bearer", expires_in=60
        )

    async def GetJwks(self, request, context):
        # Not noted: the gateway itself asks for the keys now and then.
        return identity.GetJwksResponse(keys=self._keys)

    async def CreateUser(self, request, context):
        self._note("CreateUser", context)
        return identity.CreateUserResponse(user=identity.User(username=request.username))

    async def ListUsers(self, request, context):
        self._note("ListUsers", context)
        return identity.ListUsersResponse(users=[identity.User(username="asha")])
