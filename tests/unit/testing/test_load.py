from __future__ import annotations

import asyncio
from dataclasses import dataclass

import numpy as np
import pytest

from optrading.common.board import Board
from optrading.market.chain import Position
from optrading.testing.load import BoardReader, Load, PacedFeed, latencies_s

QUICK = Load(strikes=2, cut_s=0.01, duration_s=0.03)


@dataclass(frozen=True)
class Item:
    position: Position


def test_a_load_counts_the_legs_of_every_listed_expiry() -> None:
    assert Load(strikes=29, cut_s=1.0, duration_s=40.0).legs_per_second == 3_016
    assert Load(strikes=72, cut_s=0.25, duration_s=40.0).legs_per_second == pytest.approx(29_952)
    assert Load(strikes=72, cut_s=0.25, duration_s=40.0).chains_per_index == 160


async def test_a_paced_feed_hands_out_the_chains_of_its_load_in_turn_at_their_time() -> None:
    feed = PacedFeed(QUICK)
    chains = [chain async for chain in feed.chains({})]
    assert [chain.index for chain in chains] == list(feed.indices) * 3
    assert sum(chain.leg_count() for chain in chains) == 3 * 2 * 2 * 52
    assert [len(handed) for handed in feed.handed.values()] == [3] * 6
    assert len(feed.behind_s) == 18
    assert min(feed.behind_s) >= 0
    for handed in feed.handed.values():
        assert np.diff(handed).sum() >= 0.015
    times = [chain.event_time for chain in chains]
    assert times == sorted(times)


async def test_a_reader_of_the_board_has_every_chain_and_the_time_it_took() -> None:
    feed, board = PacedFeed(QUICK), Board[Item]()
    readers = {index: BoardReader(board, index) for index in feed.indices}
    for index in feed.indices:
        board.add_index(index)
    sequences = dict.fromkeys(feed.indices, 0)
    async with asyncio.TaskGroup() as tasks:
        for reader in readers.values():
            tasks.create_task(reader.read(3))
        async for chain in feed.chains({}):
            sequences[chain.index] += 1
            board.publish(chain.index, Item(Position(7, sequences[chain.index])))
    assert all(reader.seen.positions == [(7, 1), (7, 2), (7, 3)] for reader in readers.values())
    taken_s = latencies_s(feed, readers)
    assert taken_s.shape == (18,)
    assert (taken_s >= 0).all()


async def test_a_reader_that_is_too_slow_says_so() -> None:
    board = Board[Item](depth=2)
    for number in range(1, 5):
        board.publish("NIFTY", Item(Position(7, number)))
    with pytest.raises(RuntimeError, match=r"NIFTY: chains after .* are gone from the board"):
        await BoardReader(board, "NIFTY").read(4)
