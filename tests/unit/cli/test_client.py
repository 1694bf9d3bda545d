"""The gateway's client and the live streams, against a small server of the contract."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest

from optrading.analytics.v1 import analytics_service_pb2 as analytics_pb
from optrading.analytics.v1 import analytics_service_pb2_grpc
from optrading.cli.client import CallError, GatewayClient
from optrading.cli.queries import Selection
from optrading.cli.watching import Update, follow_analytics, follow_chains, line_of
from optrading.collection.v1 import collection_service_pb2 as collection_pb
from optrading.collection.v1 import collection_service_pb2_grpc
from optrading.common.errors import NotFound, OutOfRange, ServiceError, Unauthenticated, Unavailable
from optrading.common.interceptors import abort
from optrading.identity.v1 import identity_service_pb2 as identity_pb
from optrading.identity.v1 import identity_service_pb2_grpc
from optrading.local.credentials import Credentials
from optrading.market.chain import Position
from tests.chains import small_message

Step = collection_pb.WatchChainsResponse | analytics_pb.WatchAnalyticsResponse | ServiceError


@dataclass
class Platform(
    identity_service_pb2_grpc.IdentityServiceServicer,
    collection_service_pb2_grpc.CollectionServiceServicer,
    analytics_service_pb2_grpc.AnalyticsServiceServicer,
):
    """Gives tokens that are counted, and plays one script per stream."""

    expires_in: int = 3600
    scripts: Iterator[list[Step]] = field(default_factory=lambda: iter(()))
    logins: int = 0
    refreshes: int = 0
    valid: set[str] = field(default_factory=set)
    requests: list[Any] = field(default_factory=list)

    async def Login(self, request: Any, context: Any) -> identity_pb.LoginResponse:
        if request.password != "right":
            await abort(context, Unauthenticated("user name or password is wrong", reason="INVALID_CREDENTIALS"))
        self.logins += 1
        self.valid = {f"login {self.logins}"}
        return identity_pb.LoginResponse(
            access_token=f"login {self.logins}", refresh_token="refresh", expires_in=self.expires_in
        )

    async def RefreshToken(self, request: Any, context: Any) -> identity_pb.RefreshTokenResponse:
        self.refreshes += 1
        self.valid = {f"refresh {self.refreshes}"}
        return identity_pb.RefreshTokenResponse(
            access_token=f"refresh {self.refreshes}", refresh_token="refresh", expires_in=self.expires_in
        )

    async def GetChain(self, request: Any, context: Any) -> collection_pb.GetChainResponse:
        await self._check(context)
        if request.index != "NIFTY":
            await abort(context, NotFound(f"index {request.index!r} is not known here", reason="UNKNOWN_INDEX"))
        return collection_pb.GetChainResponse(chain=small_message(Position(1, 1)))

    async def WatchChains(self, request: Any, context: Any) -> AsyncIterator[Any]:
        async for answer in self._play(request, context):
            yield answer

    async def WatchAnalytics(self, request: Any, context: Any) -> AsyncIterator[Any]:
        async for answer in self._play(request, context):
            yield answer

    async def _play(self, request: Any, context: Any) -> AsyncIterator[Any]:
        await self._check(context)
        self.requests.append(request)
        for step in next(self.scripts):
            if isinstance(step, ServiceError):
                await abort(context, step)
            yield step

    async def _check(self, context: Any) -> None:
        token = dict(context.invocation_metadata()).get("authorization", "").removeprefix("Bearer ")
        if token not in self.valid:
            await abort(context, Unauthenticated("no valid token"))


@pytest.fixture
async def platform() -> AsyncIterator[tuple[Platform, str]]:
    served = Platform()
    server = grpc.aio.server()
    identity_service_pb2_grpc.add_IdentityServiceServicer_to_server(served, server)
    collection_service_pb2_grpc.add_CollectionServiceServicer_to_server(served, server)
    analytics_service_pb2_grpc.add_AnalyticsServiceServicer_to_server(served, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield served, f"http://127.0.0.1:{port}"
    await server.stop(None)


def client_of(url: str, password: str = "right") -> GatewayClient:
    return GatewayClient(Credentials("demo", password, url))


def chain(epoch: int, sequence: int) -> collection_pb.WatchChainsResponse:
    return collection_pb.WatchChainsResponse(chain=small_message(Position(epoch, sequence)))


def analytics(epoch: int, sequence: int) -> analytics_pb.WatchAnalyticsResponse:
    snapshot = analytics_pb.AnalyticsSnapshot(index="NIFTY", epoch=epoch, sequence=sequence)
    return analytics_pb.WatchAnalyticsResponse(analytics=snapshot)


async def first(updates: Any, count: int) -> list[tuple[int, int]]:
    positions = []
    async with asyncio.timeout(20), aclosing(updates):
        async for update in updates:
            positions.append((update.snapshot.epoch, update.snapshot.sequence))
            if len(positions) == count:
                break
    return positions


GET = collection_pb.GetChainRequest(index="NIFTY")
NIFTY = Selection("nifty")


async def test_one_login_serves_many_calls(platform: tuple[Platform, str]) -> None:
    served, url = platform
    async with client_of(url) as client:
        await asyncio.gather(*(client.call(client.collection.GetChain, GET) for _ in range(5)))
    assert served.logins == 1


async def test_a_token_near_its_end_is_refreshed_before_the_call(platform: tuple[Platform, str]) -> None:
    served, url = platform
    served.expires_in = 0
    async with client_of(url) as client:
        await client.call(client.collection.GetChain, GET)
        await client.call(client.collection.GetChain, GET)
    assert (served.logins, served.refreshes) == (1, 1)


async def test_a_token_that_is_no_longer_valid_is_replaced_by_another_login(platform: tuple[Platform, str]) -> None:
    served, url = platform
    async with client_of(url) as client:
        await client.call(client.collection.GetChain, GET)
        served.valid = set()
        await client.call(client.collection.GetChain, GET)
    assert served.logins == 2


async def test_a_refused_password_is_one_clear_error(platform: tuple[Platform, str]) -> None:
    async with client_of(platform[1], "wrong") as client:
        with pytest.raises(CallError, match=r"password is wrong for http.*runbook") as refused:
            await client.call(client.collection.GetChain, GET)
    assert refused.value.reason == "INVALID_CREDENTIALS"


async def test_an_error_of_a_service_keeps_its_words_and_its_reason(platform: tuple[Platform, str]) -> None:
    async with client_of(platform[1]) as client:
        with pytest.raises(CallError, match="'DOW' is not known here") as refused:
            await client.call(client.collection.GetChain, collection_pb.GetChainRequest(index="DOW"))
    assert (refused.value.code, refused.value.reason) == (grpc.StatusCode.NOT_FOUND, "UNKNOWN_INDEX")


async def test_where_nobody_answers_the_error_says_how_to_start(unused_tcp_port: int) -> None:
    async with client_of(f"http://127.0.0.1:{unused_tcp_port}") as client:
        with pytest.raises(CallError, match="optrading up"):
            await client.call(client.collection.GetChain, GET)


async def test_a_broken_stream_is_taken_up_after_the_last_chain(platform: tuple[Platform, str]) -> None:
    served, url = platform
    served.scripts = iter([[chain(7, 1), chain(7, 2), Unavailable("restart")], [chain(7, 3), chain(7, 4)]])
    notes: list[str] = []
    async with client_of(url) as client:
        positions = await first(follow_chains(client, NIFTY, notes.append), 4)
    assert positions == [(7, 1), (7, 2), (7, 3), (7, 4)]
    assert not served.requests[0].HasField("resume_after_sequence")
    assert (served.requests[1].resume_after_epoch, served.requests[1].resume_after_sequence) == (7, 2)
    assert notes == ["interrupted (restart); trying again"]


async def test_a_position_that_is_gone_goes_on_with_the_newest_and_says_so(platform: tuple[Platform, str]) -> None:
    served, url = platform
    evicted = OutOfRange("too old", reason="SEQUENCE_EVICTED")
    served.scripts = iter([[chain(7, 1), Unavailable("restart")], [evicted], [chain(8, 40)]])
    notes: list[str] = []
    async with client_of(url) as client:
        assert await first(follow_chains(client, NIFTY, notes.append), 2) == [(7, 1), (8, 40)]
    assert not served.requests[2].HasField("resume_after_sequence")
    assert "missed" in notes[-1]


async def test_analytics_that_were_shown_are_not_shown_again_after_a_break(platform: tuple[Platform, str]) -> None:
    served, url = platform
    aged = Unavailable("old", reason="STREAM_AGE_REACHED")
    served.scripts = iter([[analytics(7, 1), analytics(7, 2), aged], [analytics(7, 2), analytics(7, 3)]])
    notes: list[str] = []
    async with client_of(url) as client:
        assert await first(follow_analytics(client, NIFTY, notes.append), 3) == [(7, 1), (7, 2), (7, 3)]
    assert notes == []


async def test_what_trying_again_does_not_mend_ends_the_watch(platform: tuple[Platform, str]) -> None:
    served, url = platform
    served.scripts = iter([[NotFound("no such index", reason="UNKNOWN_INDEX")]])
    async with client_of(url) as client:
        with pytest.raises(CallError, match="no such index"):
            await first(follow_chains(client, NIFTY, print), 1)


def test_a_line_says_time_index_spot_and_position() -> None:
    line = line_of(Update(small_message(Position(1, 1)), 3))
    assert line == "09:16:00  NIFTY  24,951.51  sequence 1  2 expiries, 6 strikes  3 skipped"
