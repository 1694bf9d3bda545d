from __future__ import annotations

from datetime import datetime, timedelta

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from optrading.common.errors import reason_of
from optrading.market.chain import Position
from optrading.market.codec import decode_chain, encode_chain, position_of, to_timestamp
from optrading.market.v1 import chain_pb2
from optrading.storage.v1 import storage_service_pb2 as pb
from tests.chains import OPENING, small_chain

LAST = Position(7, 20)


def message(sequence: int) -> chain_pb2.ChainSnapshot:
    """Minutes after the opening; this week's expiry has its bucket, the other two."""
    chain = encode_chain(small_chain(minute=sequence), Position(7, sequence))
    chain.expiries[0].buckets.append("this_week")
    chain.expiries[1].buckets.extend(["next_week", "this_month"])
    return chain


def after_opening(minutes: float) -> datetime:
    return OPENING + timedelta(minutes=minutes)


@pytest.fixture(params=["journal", "sealed", "both"])
async def asked(request, collection, start_storage):
    """Twenty chains of NIFTY, a minute each: in memory, in sealed files, or some in each. SENSEX has none."""
    await collection.publish(*(message(s) for s in range(1, 13)))
    collection.add_index("SENSEX")
    async with start_storage() as asked:
        await collection.wait_acknowledged("NIFTY", Position(7, 12))
        if request.param == "both":
            await asked.running.roller.roll("NIFTY")
        await collection.publish(*(message(s) for s in range(13, 21)))
        await collection.wait_acknowledged("NIFTY", LAST)
        if request.param == "sealed":
            await asked.running.roller.roll("NIFTY")
        await collection.wait_watches(2)
        yield asked


async def read(asked, **request) -> list[chain_pb2.ChainSnapshot]:
    return [r.chain async for r in asked.stub.ReadChains(pb.ReadChainsRequest(index="NIFTY", **request))]


async def test_a_range_comes_back_value_by_value(asked):
    assert await read(asked) == [message(s) for s in range(1, 21)]


async def test_the_start_belongs_to_a_range_and_the_end_does_not(asked):
    chains = await read(asked, start_time=to_timestamp(after_opening(5)), end_time=to_timestamp(after_opening(9)))
    assert [chain.sequence for chain in chains] == [5, 6, 7, 8]
    assert [c.sequence for c in await read(asked, start_time=to_timestamp(after_opening(19)))] == [19, 20]
    assert [c.sequence for c in await read(asked, end_time=to_timestamp(after_opening(3)))] == [1, 2]
    assert await read(asked, start_time=to_timestamp(after_opening(100))) == []


@pytest.mark.parametrize(
    ("request_", "expiries"),
    [
        ({"bucket": "this_week"}, ["2026-08-18"]),
        ({"bucket": "this_month"}, ["2026-08-25"]),
        ({"expiry": "2026-08-25"}, ["2026-08-25"]),
    ],
)
async def test_only_the_expiry_asked_for_comes_back(asked, request_, expiries):
    chains = await read(asked, **request_)
    assert len(chains) == 20
    assert [[e.expiry for e in chain.expiries] for chain in chains] == [expiries] * 20


async def test_only_the_strikes_asked_for_come_back(asked):
    chains = await read(asked, strike_inr=[24_950.0, 1.0])
    assert len(chains) == 20
    for chain, whole in zip(chains, (message(s) for s in range(1, 21)), strict=True):
        assert [list(e.strike_inr) for e in chain.expiries] == [[24_950.0], [24_950.0]]
        assert chain.expiries[1].put.last_inr[0] == whole.expiries[1].put.last_inr[1]


async def test_chains_without_a_wanted_leg_are_left_out(asked):
    assert await read(asked, strike_inr=[1.0]) == []
    assert await read(asked, bucket="next_month") == []
    assert await read(asked, expiry="2027-01-01") == []


async def test_the_newest_chain_and_that_of_any_instant(asked):
    async def get(**request):
        return (await asked.stub.GetChain(pb.GetChainRequest(index="NIFTY", **request))).chain

    assert await get() == message(20)
    assert await get(as_of=to_timestamp(after_opening(500))) == message(20)
    for minutes, sequence in ((20, 20), (19.9, 19), (13, 13), (12.5, 12), (1, 1)):
        assert await get(as_of=to_timestamp(after_opening(minutes))) == message(sequence)
    only = await get(as_of=to_timestamp(after_opening(7)), bucket="next_week")
    assert ([e.expiry for e in only.expiries], only.sequence) == (["2026-08-25"], 7)


async def test_watermarks_tell_how_far_and_how_much(asked):
    [watermark] = (await asked.stub.ListWatermarks(pb.ListWatermarksRequest())).watermarks
    assert watermark == pb.Watermark(
        index="NIFTY",
        epoch=7,
        sequence=20,
        event_time=to_timestamp(after_opening(20)),
        chain_count=20,
        leg_count=sum(decode_chain(message(s)).leg_count() for s in range(1, 21)),
        first_event_time=to_timestamp(after_opening(1)),
    )


async def refusal(call) -> grpc.aio.AioRpcError:
    """What a unary or a streaming call is refused with."""

    async def finish():
        return [each async for each in call] if hasattr(call, "__aiter__") else await call

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await finish()
    return caught.value


INVALID = grpc.StatusCode.INVALID_ARGUMENT
NOT_FOUND = grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize(
    ("method", "request_", "status", "reason", "says"),
    [
        ("GetChain", {"index": "DAX"}, NOT_FOUND, "UNKNOWN_INDEX", "known: NIFTY, SENSEX"),
        ("GetChain", {"index": "SENSEX"}, NOT_FOUND, "NO_CHAIN_AT_TIME", "no chain stored yet"),
        (
            "GetChain",
            {"as_of": to_timestamp(OPENING)},
            NOT_FOUND,
            "NO_CHAIN_AT_TIME",
            "first is of 2026-08-18T03:46",
        ),
        ("GetChain", {"as_of": Timestamp(seconds=2**60)}, INVALID, "INVALID_TIME_RANGE", "as_of"),
        ("GetChain", {"expiry": "2026-12-29"}, NOT_FOUND, "UNKNOWN_EXPIRY", "2026-08-18, 2026-08-25"),
        ("GetChain", {"bucket": "next_month"}, NOT_FOUND, "NO_MONTHLY_EXPIRY", "2026-08-18, 2026-08-25"),
        ("GetChain", {"bucket": "someday"}, INVALID, "UNKNOWN_BUCKET", "this_week"),
        ("GetChain", {"expiry": "18-Aug"}, INVALID, "INVALID_EXPIRY", "2026-08-25"),
        ("GetChain", {"expiry": "2026-08-18", "bucket": "this_week"}, INVALID, "BUCKET_AND_EXPIRY", "not both"),
        ("ReadChains", {"index": ""}, NOT_FOUND, "UNKNOWN_INDEX", "known: NIFTY, SENSEX"),
        ("ReadChains", {"bucket": "someday"}, INVALID, "UNKNOWN_BUCKET", "this_week"),
        ("ReadChains", {"expiry": "20260818"}, INVALID, "INVALID_EXPIRY", "2026-08-25"),
        ("ReadChains", {"expiry": "2026-08-18", "bucket": "this_week"}, INVALID, "BUCKET_AND_EXPIRY", "not both"),
        ("ReadChains", {"strike_inr": [24_900.0, -1.0]}, INVALID, "INVALID_STRIKE", "-1.0"),
        ("ReadChains", {"strike_inr": [float("nan")]}, INVALID, "INVALID_STRIKE", "nan"),
        (
            "ReadChains",
            {"start_time": to_timestamp(OPENING), "end_time": to_timestamp(OPENING)},
            INVALID,
            "INVALID_TIME_RANGE",
            "after start_time",
        ),
        ("ReadChains", {"start_time": Timestamp(seconds=-(2**60))}, INVALID, "INVALID_TIME_RANGE", "start_time"),
    ],
)
async def test_a_wrong_request_is_told_what_is_allowed(asked_once, method, request_, status, reason, says):
    kind = {"GetChain": pb.GetChainRequest, "ReadChains": pb.ReadChainsRequest}[method]
    error = await refusal(getattr(asked_once.stub, method)(kind(**{"index": "NIFTY", **request_})))
    assert (error.code(), reason_of(error)) == (status, reason)
    assert says in error.details()


@pytest.fixture
async def asked_once(collection, start_storage):
    await collection.publish(message(1), message(2))
    collection.add_index("SENSEX")
    async with start_storage() as asked:
        await collection.wait_acknowledged("NIFTY", Position(7, 2))
        await collection.wait_watches(2)
        yield asked


async def test_an_index_that_is_being_collected_has_an_empty_history_before_its_first_chain(asked_once):
    assert [r async for r in asked_once.stub.ReadChains(pb.ReadChainsRequest(index="SENSEX"))] == []


async def test_a_sealed_file_that_was_changed_is_named_and_not_served(asked_once, tmp_path):
    await asked_once.running.roller.roll("NIFTY")
    [path] = (tmp_path / "storage").rglob("*.parquet")
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 1
    path.write_bytes(content)
    error = await refusal(asked_once.stub.ReadChains(pb.ReadChainsRequest(index="NIFTY")))
    assert (error.code(), reason_of(error)) == (grpc.StatusCode.DATA_LOSS, "DAMAGED_FILE")
    assert path.name in error.details()
    as_of = to_timestamp(after_opening(1))
    error = await refusal(asked_once.stub.GetChain(pb.GetChainRequest(index="NIFTY", as_of=as_of)))
    assert reason_of(error) == "DAMAGED_FILE"
    # The newest chain is in memory, as good as it was when it was stored.
    assert (await asked_once.stub.GetChain(pb.GetChainRequest(index="NIFTY"))).chain == message(2)


async def test_the_newest_chain_is_there_after_a_restart_wherever_it_lies(collection, start_storage):
    await collection.publish(message(1), message(2))
    async with start_storage() as asked:
        await collection.wait_acknowledged("NIFTY", Position(7, 2))
        await asked.running.roller.roll("NIFTY")
    async with start_storage(collection_address="127.0.0.1:1") as asked:
        assert asked.running.history.of("NIFTY").tail == ()
        assert asked.running.history.of("NIFTY").newest.position == Position(7, 2)
        assert (await asked.stub.GetChain(pb.GetChainRequest(index="NIFTY"))).chain == message(2)


async def test_a_storage_with_a_damaged_file_starts_and_says_which_when_asked(collection, start_storage, tmp_path):
    await collection.publish(message(1))
    async with start_storage() as asked:
        await collection.wait_acknowledged("NIFTY", Position(7, 1))
        await asked.running.roller.roll("NIFTY")
    [path] = (tmp_path / "storage").rglob("*.parquet")
    path.write_bytes(path.read_bytes()[:-1])
    async with start_storage() as asked:
        error = await refusal(asked.stub.GetChain(pb.GetChainRequest(index="NIFTY")))
        assert (error.code(), reason_of(error)) == (grpc.StatusCode.DATA_LOSS, "DAMAGED_FILE")
        await collection.publish(message(2))
        await collection.wait_acknowledged("NIFTY", Position(7, 2))
        assert position_of((await asked.stub.GetChain(pb.GetChainRequest(index="NIFTY"))).chain) == Position(7, 2)


async def test_a_reader_that_hangs_up_does_not_disturb_others(asked_once):
    call = asked_once.stub.ReadChains(pb.ReadChainsRequest(index="NIFTY"))
    assert (await call.read()).chain == message(1)
    call.cancel()
    answers = [r.chain async for r in asked_once.stub.ReadChains(pb.ReadChainsRequest(index="NIFTY"))]
    assert answers == [message(1), message(2)]
