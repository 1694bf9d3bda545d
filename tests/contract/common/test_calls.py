from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
import structlog
from grpc_status import rpc_status

from optrading.collection.v1 import collection_service_pb2 as pb
from optrading.common.errors import InvalidArgument, NotFound, ServiceError, reason_of
from optrading.market.chain import Position
from tests.chains import small_message
from tests.contract.common.mesh import Answering, calling, serving

pytestmark = pytest.mark.timeout(30)  # nothing here waits for long


def raising(error: Exception) -> Any:
    def answer() -> Any:
        raise error

    return answer


async def failure(servicer: Answering, *, stream: bool = False) -> grpc.aio.AioRpcError:
    async with serving(servicer, None) as (_, settings), calling(settings, "gateway") as stub:
        if stream:
            call = stub.WatchChains(pb.WatchChainsRequest(), timeout=10)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                _ = [each async for each in call]
        else:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stub.GetChain(pb.GetChainRequest(), timeout=10)
    return caught.value


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "error",
    [
        InvalidArgument("bucket 'wéek ₹' is not one of this_week", reason="UNKNOWN_BUCKET", field="bucket"),
        NotFound("no " + 400 * "such ", reason="UNKNOWN_INDEX", field="index"),
    ],
    ids=["beyond ASCII", "long"],
)
async def test_an_error_of_the_domain_arrives_whole(error: ServiceError, stream: bool) -> None:
    servicer = Answering()

    async def broken() -> AsyncIterator[Any]:
        yield pb.WatchChainsResponse()
        raise error

    servicer.answer, servicer.stream = raising(error), broken
    caught = await failure(servicer, stream=stream)
    assert caught.code() is error.code
    assert caught.details() == error.message
    assert reason_of(caught) == error.reason
    assert rpc_status.from_call(caught) == error.to_status()  # type: ignore[arg-type]


@pytest.mark.parametrize("stream", [False, True])
async def test_any_other_error_leaks_nothing_but_the_place_in_the_log(stream: bool) -> None:
    servicer = Answering()

    async def broken() -> AsyncIterator[Any]:
        yield pb.WatchChainsResponse()
        raise RuntimeError("password=swordfish in /etc/secret")

    servicer.answer, servicer.stream = raising(RuntimeError("password=swordfish in /etc/secret")), broken
    with structlog.testing.capture_logs() as logs:
        caught = await failure(servicer, stream=stream)
    assert caught.code() is grpc.StatusCode.INTERNAL
    assert reason_of(caught) == "INTERNAL"
    said = str(caught) + str(rpc_status.from_call(caught))  # type: ignore[arg-type]
    assert "swordfish" not in said
    assert "RuntimeError" not in said
    (entry,) = [entry for entry in logs if entry["event"] == "call_failed"]
    assert entry["log_id"] in str(caught.details())
    assert isinstance(entry["exc_info"], RuntimeError)


async def test_messages_and_ready_bytes_both_pass() -> None:
    servicer = Answering()
    expected = pb.GetChainResponse(chain=small_message(Position(7, 3)))

    async def mixed() -> AsyncIterator[Any]:
        response = pb.WatchChainsResponse(chain=expected.chain)
        yield response
        yield response.SerializeToString()
        yield b""

    servicer.stream = mixed
    async with serving(servicer, None) as (_, settings), calling(settings, "gateway") as stub:
        for answer in (expected, expected.SerializeToString()):
            servicer.answer = lambda answer=answer: answer
            assert await stub.GetChain(pb.GetChainRequest(), timeout=10) == expected
        first, second, third = [each async for each in stub.WatchChains(pb.WatchChainsRequest(), timeout=10)]
    assert first == second == pb.WatchChainsResponse(chain=expected.chain)
    assert third == pb.WatchChainsResponse()


@pytest.mark.parametrize("way", ["cancel the call", "cancel the task"])
async def test_a_reader_that_leaves_ends_its_stream_on_the_server(way: str) -> None:
    servicer = Answering()
    forever = asyncio.Event()

    async def endless() -> AsyncIterator[Any]:
        yield pb.WatchChainsResponse()
        await forever.wait()

    servicer.stream = endless
    async with serving(servicer, None) as (_, settings), calling(settings, "gateway") as stub:
        got = asyncio.Event()

        async def read() -> None:
            call = stub.WatchChains(pb.WatchChainsRequest())
            async for _ in call:
                got.set()
                if way == "cancel the call":
                    call.cancel()

        reader = asyncio.create_task(read())
        await got.wait()
        if way == "cancel the task":
            reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)
        await servicer.ended.wait()
