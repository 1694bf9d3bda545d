from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from optrading.collection.v1 import collection_service_pb2 as pb
from optrading.collection.v1.collection_service_pb2_grpc import CollectionServiceStub
from optrading.common.errors import reason_of
from tests.contract.common.mesh import Answering, calling, serving

SERVICE = "/optrading.collection.v1.CollectionService"


def complaints_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what was logged, without grpcio's poller waking event loops of tests before this one, which are closed."""
    messages = [record.getMessage() for record in caplog.records]
    return [message for message in messages if "PollerCompletionQueue" not in message]


async def test_a_reader_that_does_not_read_and_leaves_ends_its_stream_at_once_and_quietly(
    caplog: pytest.LogCaptureFixture,
) -> None:
    servicer = Answering()
    large = pb.WatchChainsResponse()
    large.chain.source = "s" * 1_000_000
    sent = asyncio.Event()

    async def flood() -> AsyncIterator[Any]:
        while True:
            yield large
            sent.set()

    servicer.stream = flood
    caplog.set_level(logging.ERROR)
    async with serving(servicer, None) as (_, settings), calling(settings, "gateway") as stub:
        call = stub.WatchChains(pb.WatchChainsRequest())
        await call.read()
        await sent.wait()
        call.cancel()
        await asyncio.wait_for(servicer.ended.wait(), 10)
    # Neither tracing nor grpcio complains: leaving is every reader's right.
    assert complaints_in(caplog) == []


async def test_readers_that_leave_in_the_middle_of_an_answer_leave_nothing_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    servicer = Answering()
    large = pb.WatchChainsResponse()
    large.chain.source = "s" * 100_000

    async def flood() -> AsyncIterator[Any]:
        while True:
            yield large

    def read(channel: grpc.Channel, count: int) -> None:
        call = CollectionServiceStub(channel).WatchChains(pb.WatchChainsRequest())
        for _ in range(count):
            next(call)
        call.cancel()

    servicer.stream = flood
    caplog.set_level(logging.ERROR)
    # Readers with threads of their own: whether a write or the end of the call is seen first is then open.
    async with serving(servicer, None) as (_, settings):
        with grpc.insecure_channel(settings.collection_address) as channel:
            for number in range(25):
                await asyncio.gather(*(asyncio.to_thread(read, channel, 1 + (number + n) % 7) for n in range(4)))
    assert complaints_in(caplog) == []


@pytest.mark.parametrize("method", ["GetChain", "WatchChains"])
async def test_a_request_that_cannot_be_read_is_the_callers_mistake(method: str) -> None:
    servicer = Answering()
    async with serving(servicer, None) as (_, settings), grpc.aio.insecure_channel(settings.collection_address) as bare:
        call = bare.unary_stream(f"{SERVICE}/{method}")(b"\xff\xff\xff", timeout=10)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call.read()
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert reason_of(caught.value) == "MALFORMED_REQUEST"
    assert servicer.calls == 0


async def test_headers_may_be_as_long_as_the_gateway_lets_them_be() -> None:
    async with serving(Answering(), None) as (_, settings), calling(settings, "gateway") as stub:
        await stub.GetChain(pb.GetChainRequest(), metadata=[("x-long", "a" * 70_000)], timeout=10)
