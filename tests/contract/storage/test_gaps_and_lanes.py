from __future__ import annotations

from datetime import timedelta

import grpc
import pytest
from structlog.testing import capture_logs

from optrading.common.errors import reason_of
from optrading.market.chain import Position
from optrading.market.codec import position_of, to_timestamp
from optrading.market.v1 import gap_pb2
from optrading.storage.v1 import storage_service_pb2 as pb
from tests.chains import OPENING, small_message
from tests.contract.storage.conftest import Asked, StartStorage, until

MINUTE = timedelta(minutes=1)
IMPORT_EPOCH = 790_000_000_000


def gap(begin: int, end: int | None, cause: gap_pb2.GapCause.ValueType = gap_pb2.GAP_CAUSE_DISCONNECT) -> gap_pb2.Gap:
    """Return a gap of NIFTY from one minute after the opening to another."""
    found = gap_pb2.Gap(gap_id=f"NIFTY/{begin}", index="NIFTY", cause=cause)
    found.start_time.CopyFrom(to_timestamp(OPENING + begin * MINUTE))
    if end is not None:
        found.end_time.CopyFrom(to_timestamp(OPENING + end * MINUTE))
    return found


async def gaps_of(asked: Asked, **request: object) -> list[gap_pb2.Gap]:
    return list((await asked.stub.ListGaps(pb.ListGapsRequest(index="NIFTY", **request))).gaps)


async def until_gaps(asked: Asked, expected: list[gap_pb2.Gap]) -> None:
    shown: list[list[gap_pb2.Gap]] = [[]]

    async def look() -> bool:
        shown[0] = await gaps_of(asked)
        return shown[0] == expected

    for _ in range(400):
        if await look():
            return
        await until(lambda: True)
    assert shown[0] == expected


async def until_stored(asked: Asked, count: int) -> list[Position]:
    """Return the positions that can be read once there are so many."""
    await until(lambda: "NIFTY" in asked.running.history.known())
    for _ in range(1_000):
        found = [position_of(r.chain) async for r in asked.stub.ReadChains(pb.ReadChainsRequest(index="NIFTY"))]
        if len(found) >= count:
            return found
    raise AssertionError(f"{len(found)} of {count} chains")


def live(sequence: int, epoch: int = 7):
    return small_message(Position(epoch, sequence))


def imported(sequence: int, epoch: int = IMPORT_EPOCH):
    """Return a chain of an import: as many hours before the opening."""
    message = small_message(Position(epoch, sequence))
    message.event_time.CopyFrom(to_timestamp(OPENING - timedelta(hours=30 - sequence)))
    return message


async def test_a_gap_is_listed_as_it_was_told_last(collection, start_storage: StartStorage) -> None:
    await collection.publish(live(1))
    async with start_storage() as asked:
        await collection.wait_acknowledged("NIFTY", Position(7, 1))
        await collection.tell_gap(gap(1, None))
        await until_gaps(asked, [gap(1, None)])
        await collection.tell_gap(gap(1, 3))
        await collection.tell_gap(gap(5, 6))
        await until_gaps(asked, [gap(1, 3), gap(5, 6)])


async def test_gaps_survive_a_restart_and_are_not_taken_twice(collection, start_storage: StartStorage) -> None:
    await collection.publish(live(1))
    await collection.tell_gap(gap(1, None))
    async with start_storage() as asked:
        await collection.wait_acknowledged("NIFTY", Position(7, 1))
        await until_gaps(asked, [gap(1, None)])
    await collection.tell_gap(gap(1, 2))
    async with start_storage() as asked:
        await until_gaps(asked, [gap(1, 2)])


async def test_a_collector_with_another_ledger_is_begun_anew(collection, start_storage: StartStorage) -> None:
    await collection.publish(live(1))
    await collection.tell_gap(gap(1, 2))
    async with start_storage() as asked:
        await collection.wait_acknowledged("NIFTY", Position(7, 1))
        await until_gaps(asked, [gap(1, 2)])
    collection.ledger_id = "another"
    collection.gaps[:] = []
    await collection.tell_gap(gap(8, 9))
    async with start_storage() as asked:
        await until_gaps(asked, [gap(1, 2), gap(8, 9)])


async def test_gaps_are_found_by_time_and_by_cause(collection, start_storage: StartStorage) -> None:
    closed = gap_pb2.GAP_CAUSE_MARKET_CLOSED
    told = [gap(1, 3), gap(5, 8, closed), gap(10, None)]
    await collection.publish(*(live(sequence) for sequence in range(1, 13)))
    for each in told:
        await collection.tell_gap(each)
    async with start_storage() as asked:
        await collection.wait_acknowledged("NIFTY", Position(7, 12))
        await until_gaps(asked, told)

        def at(minute: int):
            return to_timestamp(OPENING + minute * MINUTE)

        assert await gaps_of(asked, start_time=at(4)) == told[1:]
        assert await gaps_of(asked, end_time=at(5)) == told[:1]
        assert await gaps_of(asked, start_time=at(2), end_time=at(6)) == told[:2]
        assert await gaps_of(asked, cause=[closed]) == [told[1]]
        answer = await asked.stub.ListGaps(pb.ListGapsRequest(index="NIFTY"))
        # From the first chain (minute 1) to the last (12), 3 minutes of which the market was closed: 2 + 2 are missing.
        assert answer.completeness == pytest.approx(1 - 4 / 8)


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (pb.ListGapsRequest(index="NIFTI"), "UNKNOWN_INDEX"),
        (pb.ListGapsRequest(index="NIFTY", start_time={"seconds": 9}, end_time={"seconds": 9}), "INVALID_TIME_RANGE"),
    ],
)
async def test_a_question_for_gaps_that_cannot_be_right_is_refused(
    collection, start_storage: StartStorage, request_: pb.ListGapsRequest, reason: str
) -> None:
    await collection.publish(live(1))
    async with start_storage() as asked:
        await collection.wait_acknowledged("NIFTY", Position(7, 1))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await asked.stub.ListGaps(request_)
        assert reason_of(caught.value) == reason


async def test_a_side_lane_is_stored_beside_the_live_one(collection, start_storage: StartStorage) -> None:
    await collection.publish(*(live(sequence) for sequence in range(1, 4)))
    collection.lanes["NIFTY", IMPORT_EPOCH] = [imported(sequence) for sequence in range(1, 6)]
    async with start_storage() as asked:
        found = await until_stored(asked, 8)
        assert found == [(IMPORT_EPOCH, n) for n in range(1, 6)] + [(7, n) for n in range(1, 4)]
        await until(lambda: Position(IMPORT_EPOCH, 5) in collection.acknowledgements["NIFTY"])
        newest = await asked.stub.GetChain(pb.GetChainRequest(index="NIFTY"))
        assert position_of(newest.chain) == (7, 3)
        [watermark] = (await asked.stub.ListWatermarks(pb.ListWatermarksRequest())).watermarks
        assert (watermark.epoch, watermark.sequence, watermark.chain_count) == (7, 3, 8)
        assert watermark.event_time == live(3).event_time
        assert watermark.first_event_time == imported(1).event_time
        # The live lane goes on where it was.
        await collection.publish(live(4))
        await collection.wait_acknowledged("NIFTY", Position(7, 4))


async def test_a_lane_that_is_told_again_is_not_stored_again(collection, start_storage: StartStorage) -> None:
    collection.add_index("NIFTY")
    collection.lanes["NIFTY", IMPORT_EPOCH] = [imported(sequence) for sequence in range(1, 4)]
    async with start_storage() as asked:
        await until_stored(asked, 3)
        await asked.running.roller.roll("NIFTY")
    collection.lanes["NIFTY", IMPORT_EPOCH].append(imported(4))
    async with start_storage() as asked:
        await until_stored(asked, 4)
        [watermark] = (await asked.stub.ListWatermarks(pb.ListWatermarksRequest())).watermarks
        assert watermark.chain_count == 4
        assert (watermark.epoch, watermark.sequence) == (0, 0)


async def test_live_data_goes_over_an_import_of_the_same_instant(collection, start_storage: StartStorage) -> None:
    same = small_message(Position(IMPORT_EPOCH, 1))
    collection.lanes["NIFTY", IMPORT_EPOCH] = [same]
    # Live epochs are unix milliseconds: greater than those of every import.
    await collection.publish(live(1, epoch=1_790_000_000_000), live(2, epoch=1_790_000_000_000))
    async with start_storage() as asked:
        await until(lambda: Position(IMPORT_EPOCH, 1) in collection.acknowledgements["NIFTY"])
        assert await until_stored(asked, 2) == [(1_790_000_000_000, 1), (1_790_000_000_000, 2)]


async def test_a_lane_whose_beginning_is_gone_is_stored_from_where_it_is_kept(
    collection, start_storage: StartStorage
) -> None:
    collection.lanes["NIFTY", IMPORT_EPOCH] = [imported(sequence) for sequence in (3, 4)]
    with capture_logs() as logs:
        async with start_storage() as asked:
            assert await until_stored(asked, 2) == [(IMPORT_EPOCH, 3), (IMPORT_EPOCH, 4)]
    assert any(entry["event"] == "history_gap_found" for entry in logs)
