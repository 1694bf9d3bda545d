from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import dataclass

import pytest

from optrading.common.board import Board, StreamLimits, Update
from optrading.common.errors import Unavailable
from optrading.market.chain import ORIGIN, Position

pytestmark = pytest.mark.timeout(30)  # nothing here waits for long

CALM = StreamLimits(heartbeat_s=60, max_age_s=3600)


@dataclass(frozen=True)
class Item:
    position: Position


def item(sequence: int, epoch: int = 1) -> Item:
    return Item(Position(epoch, sequence))


@pytest.fixture
def board() -> Board[Item]:
    board: Board[Item] = Board(depth=4)
    board.add_index("NIFTY")
    return board


async def test_before_the_first_item_there_is_nothing(board: Board[Item]) -> None:
    assert list(board.indices) == ["NIFTY"]
    assert board.newest("NIFTY") is None
    assert board.published("NIFTY") == 0
    assert board.recent_after("NIFTY", ORIGIN) == []


async def test_a_reader_waits_for_the_next_item_of_its_own_index(board: Board[Item]) -> None:
    reader = asyncio.create_task(board.wait_after("NIFTY", ORIGIN))
    board.publish("SENSEX", item(1))
    await asyncio.sleep(0)
    assert not reader.done()
    board.publish("NIFTY", item(1))
    assert await reader == (1, item(1))


async def test_every_reader_is_woken(board: Board[Item]) -> None:
    readers = [asyncio.create_task(board.wait_after("NIFTY", Position(1, 1))) for _ in range(50)]
    await asyncio.sleep(0)
    board.publish("NIFTY", item(1))
    await asyncio.sleep(0)
    assert not any(reader.done() for reader in readers)
    board.publish("NIFTY", item(2))
    assert set(await asyncio.gather(*readers)) == {(2, item(2))}


async def test_recent_items_are_kept_up_to_the_depth_and_what_is_older_is_not_guessed(board: Board[Item]) -> None:
    for n in range(1, 7):
        board.publish("NIFTY", item(n))
    assert board.recent_after("NIFTY", Position(1, 2)) == [item(3), item(4), item(5), item(6)]
    assert board.recent_after("NIFTY", Position(1, 5)) == [item(6)]
    assert board.recent_after("NIFTY", Position(1, 6)) == []
    assert board.recent_after("NIFTY", Position(1, 1)) is None
    assert board.recent_after("NIFTY", ORIGIN) is None


async def test_a_board_that_begins_later_does_not_know_what_came_before(board: Board[Item]) -> None:
    board.publish("NIFTY", item(40))
    assert board.recent_after("NIFTY", Position(1, 39)) == [item(40)]
    assert board.recent_after("NIFTY", Position(1, 38)) is None
    board.publish("NIFTY", item(1, epoch=2))
    assert board.recent_after("NIFTY", Position(1, 40)) == [item(1, epoch=2)]


async def test_following_begins_with_the_newest_and_counts_what_a_slow_reader_misses(board: Board[Item]) -> None:
    for n in (1, 2, 3):
        board.publish("NIFTY", item(n))
    async with aclosing(board.follow_newest("NIFTY", CALM)) as stream:
        assert await anext(stream) == Update(item(3), 0)
        for n in range(4, 14):  # more than the board keeps
            board.publish("NIFTY", item(n))
        assert await anext(stream) == Update(item(13), 9)
        board.publish("NIFTY", item(1, epoch=2))
        assert await anext(stream) == Update(item(1, epoch=2), 0)


async def test_following_from_a_position_counts_from_there(board: Board[Item]) -> None:
    board.publish("NIFTY", item(1))
    stream = board.follow_newest("NIFTY", CALM, Position(1, 1), board.published("NIFTY"))
    async with aclosing(stream):
        for n in (2, 3, 4):
            board.publish("NIFTY", item(n))
        assert await anext(stream) == Update(item(4), 2)


async def test_silence_is_broken_by_signs_of_life(board: Board[Item]) -> None:
    async with aclosing(board.follow_newest("NIFTY", StreamLimits(heartbeat_s=0.01, max_age_s=3600))) as stream:
        assert await anext(stream) == Update(None)
        assert await anext(stream) == Update(None)
        board.publish("NIFTY", item(1))
        assert await anext(stream) == Update(item(1))
        assert await anext(stream) == Update(None)


async def test_a_stream_ends_at_its_age_and_says_so(board: Board[Item]) -> None:
    stream = board.follow_newest("NIFTY", StreamLimits(heartbeat_s=0.01, max_age_s=0.03))
    with pytest.raises(Unavailable) as caught:
        _ = [update async for update in stream]
    assert caught.value.reason == "STREAM_AGE_REACHED"


async def test_streams_that_began_together_do_not_end_together(board: Board[Item]) -> None:
    now = asyncio.get_running_loop().time()
    ends = {CALM.end() - now for _ in range(20)}
    assert len(ends) == 20
    assert all(0.9 * 3600 <= end <= 1.1 * 3600 + 1 for end in ends)


async def test_closing_ends_who_waits_and_who_comes_later_but_what_there_is_can_be_read(board: Board[Item]) -> None:
    board.publish("NIFTY", item(1))
    waiting = asyncio.create_task(board.wait_after("NIFTY", Position(1, 1)))
    await asyncio.sleep(0)
    board.close()
    with pytest.raises(Unavailable) as caught:
        await waiting
    assert caught.value.reason == "SHUTTING_DOWN"
    with pytest.raises(Unavailable):
        await board.wait_after("NIFTY", Position(1, 1))
    assert await board.wait_after("NIFTY", ORIGIN) == (1, item(1))
    board.publish("NIFTY", item(2))
    with pytest.raises(Unavailable):
        await board.wait_after("NIFTY", Position(1, 2))


async def test_waiting_in_vain_is_no_error(board: Board[Item]) -> None:
    assert not await board.changed_after("NIFTY", ORIGIN, 0.01)
    board.publish("NIFTY", item(1))
    assert await board.changed_after("NIFTY", ORIGIN, 0.01)


async def test_a_reader_that_gives_up_leaves_nothing_behind(board: Board[Item]) -> None:
    reader = asyncio.create_task(board.wait_after("NIFTY", ORIGIN))
    await asyncio.sleep(0)
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    board.publish("NIFTY", item(1))
    assert await board.wait_after("NIFTY", ORIGIN) == (1, item(1))
