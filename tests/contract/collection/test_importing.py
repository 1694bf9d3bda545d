from __future__ import annotations

import grpc
import pytest

from optrading.collection.v1 import collection_service_pb2 as pb
from optrading.common.errors import reason_of
from optrading.market.chain import Position
from optrading.market.codec import encode_chain
from optrading.testing.scripted_feed import ScriptedFeed
from tests.chains import small_chain
from tests.contract.collection.conftest import Collecting

SHA256 = "a" * 64


def messages(*minutes: int, index: str = "NIFTY"):
    return [encode_chain(small_chain(index, minute), Position(0, 0)) for minute in minutes]


async def begin(served, sha256: str = SHA256, count: int = 3) -> pb.BeginImportResponse:
    return await served.stub.BeginImport(
        pb.BeginImportRequest(file_name="fo.csv", sha256=sha256, chain_count=count), timeout=10
    )


async def add(served, import_id: str, position: int, chains) -> pb.ImportChainsResponse:
    request = pb.ImportChainsRequest(import_id=import_id, position=position, chains=chains)
    return await served.stub.ImportChains(request, timeout=10)


async def lanes(served) -> list[tuple[str, int, int]]:
    answer = await served.stub.ListLanes(pb.ListLanesRequest(), timeout=10)
    return [(lane.index, lane.first_sequence, lane.last_sequence) for lane in answer.lanes]


async def read_lane(served, index: str, epoch: int, after: int = 0) -> list[pb.ReadLaneResponse]:
    request = pb.ReadLaneRequest(index=index, epoch=epoch, resume_after_sequence=after)
    return [response async for response in served.stub.ReadLane(request, timeout=10)]


async def refusal(call) -> tuple[str, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code().name, reason_of(caught.value)


async def test_an_import_is_taken_once_however_often_it_is_sent(collecting: Collecting, feed: ScriptedFeed) -> None:
    async with collecting(feed) as served:
        begun = await begin(served)
        assert begun.position == 0
        answer = await add(served, begun.import_id, 0, messages(0, 1))
        assert (answer.position, answer.added_chain_count) == (2, 2)
        answer = await add(served, begun.import_id, 1, messages(1, 2))
        assert (answer.position, answer.added_chain_count) == (3, 1)
        answer = await add(served, begun.import_id, 0, messages(0, 1, 2))
        assert (answer.position, answer.added_chain_count) == (3, 0)
        again = await begin(served)
        assert (again.import_id, again.position) == (begun.import_id, 3)
        found = await read_lane(served, "NIFTY", int(begun.import_id))
        assert [response.chain.sequence for response in found] == [1, 2, 3]
        assert {response.chain.source for response in found} == {"import"}
        assert await lanes(served) == [("NIFTY", 1, 3)]


async def test_an_import_goes_on_after_a_restart(collecting: Collecting, feed: ScriptedFeed) -> None:
    async with collecting(feed) as served:
        first = await begin(served)
        await add(served, first.import_id, 0, [*messages(0), *messages(0, index="SENSEX")])
    async with collecting(ScriptedFeed("NIFTY", "SENSEX")) as served:
        again = await begin(served)
        assert (again.import_id, again.position) == (first.import_id, 2)
        await add(served, again.import_id, 2, messages(1))
        assert await lanes(served) == [("NIFTY", 1, 2), ("SENSEX", 1, 1)]


async def test_live_readers_never_meet_an_import(collecting: Collecting, feed: ScriptedFeed) -> None:
    async with collecting(feed) as served:
        begun = await begin(served)
        await add(served, begun.import_id, 0, messages(5, index="NIFTY"))
        await add(served, begun.import_id, 1, messages(5, index="BANKNIFTY"))
        assert await refusal(served.stub.GetChain(pb.GetChainRequest(index="NIFTY"))) == ("UNAVAILABLE", "NO_CHAIN_YET")
        feed.give(small_chain("NIFTY", 1))
        await served.until_shown("NIFTY", 1)
        stream = served.watch_all()
        response = await stream.read()
        assert response.chain.epoch == served.running.pipeline.epoch
        listed = (await served.stub.ListIndices(pb.ListIndicesRequest())).indices
        assert [listing.index for listing in listed] == ["NIFTY", "SENSEX"]


async def test_what_storage_has_of_an_import_is_no_longer_listed(collecting: Collecting, feed: ScriptedFeed) -> None:
    async with collecting(feed) as served:
        begun = await begin(served)
        await add(served, begun.import_id, 0, messages(0, 1))
        epoch = int(begun.import_id)
        await served.stub.AcknowledgeChains(pb.AcknowledgeChainsRequest(index="NIFTY", epoch=epoch, sequence=1))
        assert await lanes(served) == [("NIFTY", 1, 2)]
        await served.stub.AcknowledgeChains(pb.AcknowledgeChainsRequest(index="NIFTY", epoch=epoch, sequence=2))
        assert await lanes(served) == []
        assert len(await read_lane(served, "NIFTY", epoch, after=1)) == 1


async def test_wrong_imports_are_refused_with_the_reason(collecting: Collecting, feed: ScriptedFeed) -> None:
    async with collecting(feed) as served:
        assert await refusal(begin(served, sha256="ABC")) == ("INVALID_ARGUMENT", "INVALID_IMPORT")
        assert await refusal(begin(served, count=0)) == ("INVALID_ARGUMENT", "INVALID_IMPORT")
        assert await refusal(add(served, "12345", 0, messages(0))) == ("NOT_FOUND", "UNKNOWN_IMPORT")
        assert await refusal(add(served, "no number", 0, messages(0))) == ("NOT_FOUND", "UNKNOWN_IMPORT")
        begun = await begin(served)
        assert await refusal(add(served, begun.import_id, 0, [])) == ("INVALID_ARGUMENT", "INVALID_IMPORT")
        assert await refusal(add(served, begun.import_id, 1, messages(0))) == ("OUT_OF_RANGE", "IMPORT_POSITION")
        strange = messages(0, index="DOW")
        assert await refusal(add(served, begun.import_id, 0, strange)) == ("NOT_FOUND", "UNKNOWN_INDEX")
        broken = messages(0)
        broken[0].expiries[0].strike_inr[0] = -1
        assert await refusal(add(served, begun.import_id, 0, broken)) == ("INVALID_ARGUMENT", "INVALID_CHAIN")
        assert (await begin(served)).position == 0


async def test_a_lane_that_never_was_is_told_apart_from_one_that_is_read(collecting: Collecting, feed) -> None:
    async with collecting(feed) as served:
        assert await refusal(read_lane(served, "NIFTY", 77)) == ("NOT_FOUND", "UNKNOWN_LANE")


async def test_what_is_left_of_an_earlier_term_is_a_side_lane(collecting: Collecting, feed: ScriptedFeed) -> None:
    async with collecting(feed) as served:
        feed.give(small_chain("NIFTY", 0), small_chain("NIFTY", 1))
        await served.until_shown("NIFTY", 2)
        epoch = served.running.pipeline.epoch
        assert await lanes(served) == []
    async with collecting(ScriptedFeed("NIFTY", "SENSEX")) as served:
        assert await lanes(served) == [("NIFTY", 1, 2)]
        found = await read_lane(served, "NIFTY", epoch, after=1)
        assert [response.chain.sequence for response in found] == [2]
