from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import timedelta
from pathlib import Path

import pytest

from optrading.collection.snapshot import Snapshot
from optrading.common.board import StreamLimits, Update
from optrading.common.database import transaction
from optrading.common.errors import FailedPrecondition, OutOfRange, ServiceError, Unavailable
from optrading.common.journal import Record
from optrading.market.chain import Position
from optrading.testing.clock import ManualClock
from optrading.testing.scripted_feed import ScriptedFeed
from tests.unit.collection.rig import Collector, collector

pytestmark = pytest.mark.timeout(30)  # nothing here waits for long

QUICK = StreamLimits(heartbeat_s=0.01, max_age_s=3600)


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Collector]:
    """A board that keeps four chains, so that others come from the journal."""
    async with collector(tmp_path, ScriptedFeed("NIFTY"), ManualClock(), depth=4, limits=QUICK) as made:
        yield made


def commit(rig: Collector, *sequences: int, epoch: int = 5, show: bool = True) -> None:
    records = [Record("NIFTY", Position(epoch, n), n, n, 1, "", b"\x10%c\x18%c" % (epoch, n)) for n in sequences]
    with transaction(rig.writing):
        rig.journal.append(records)
    for record in records if show else []:
        rig.board.publish("NIFTY", Snapshot(record))


async def take(stream: AsyncIterator[Update[Snapshot]], count: int) -> list[tuple[int, int]]:
    """Return the next chains as (sequence, skipped), past signs of life."""
    taken: list[tuple[int, int]] = []
    while len(taken) < count:
        update = await anext(stream)
        if update.item is not None:
            taken.append((update.item.position.sequence, update.skipped))
    return taken


async def refusal(stream: AsyncIterator[Update[Snapshot]]) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        await anext(stream)
    return caught.value


async def test_lossless_without_a_position_begins_with_the_oldest_kept(rig: Collector) -> None:
    commit(rig, *range(1, 11))
    async with aclosing(rig.outlet.follow("NIFTY", None, lossless=True)) as stream:
        assert await take(stream, 10) == [(n, 0) for n in range(1, 11)]
        commit(rig, 11)
        assert await take(stream, 1) == [(11, 0)]


async def test_lossless_after_a_trim_begins_with_what_is_left(rig: Collector) -> None:
    commit(rig, *range(1, 11))
    rig.journal.trim("NIFTY", Position(5, 6), 10**15)
    async with aclosing(rig.outlet.follow("NIFTY", None, lossless=True)) as stream:
        assert await take(stream, 4) == [(n, 0) for n in range(7, 11)]


async def test_a_slow_lossless_reader_gets_every_chain_however_far_the_board_is(rig: Collector) -> None:
    commit(rig, 1)
    async with aclosing(rig.outlet.follow("NIFTY", Position(5, 0), lossless=True)) as stream:
        assert await take(stream, 1) == [(1, 0)]
        for n in range(2, 120):
            commit(rig, n)
        assert await take(stream, 118) == [(n, 0) for n in range(2, 120)]


async def test_a_resumed_reader_of_the_newest_gets_what_it_missed_and_then_a_count(rig: Collector) -> None:
    commit(rig, *range(1, 11))
    async with aclosing(rig.outlet.follow("NIFTY", Position(5, 2), lossless=False)) as stream:
        assert await take(stream, 3) == [(3, 0), (4, 0), (5, 0)]
        commit(rig, *range(11, 21))  # while it is still reading what it missed
        assert await take(stream, 5) == [(n, 0) for n in range(6, 11)]
        assert await take(stream, 1) == [(20, 9)]
        commit(rig, 21)
        assert await take(stream, 1) == [(21, 0)]


async def test_epoch_zero_means_the_newest_epoch(rig: Collector) -> None:
    commit(rig, 1, 2, 3)
    async with aclosing(rig.outlet.follow("NIFTY", Position(0, 2), lossless=True)) as stream:
        assert await take(stream, 1) == [(3, 0)]


async def test_a_reader_goes_from_one_epoch_to_the_next(rig: Collector) -> None:
    commit(rig, *range(1, 8))
    commit(rig, *range(1, 8), epoch=6)
    for lossless in (True, False):
        async with aclosing(rig.outlet.follow("NIFTY", Position(5, 6), lossless=lossless)) as stream:
            assert await take(stream, 8) == [(7, 0), *((n, 0) for n in range(1, 8))]


@pytest.mark.parametrize("lossless", [True, False])
async def test_a_position_that_is_trimmed_away_is_evicted_and_told_where_to_read(
    rig: Collector, lossless: bool
) -> None:
    commit(rig, *range(1, 11))
    rig.journal.trim("NIFTY", Position(5, 4), 10**15)
    async with aclosing(rig.outlet.follow("NIFTY", Position(5, 4), lossless=lossless)) as stream:
        assert await take(stream, 1) == [(5, 0)]
    error = await refusal(rig.outlet.follow("NIFTY", Position(5, 3), lossless=lossless))
    assert isinstance(error, OutOfRange)
    assert error.reason == "SEQUENCE_EVICTED"
    assert error.metadata == {"trimmed_epoch": "5", "trimmed_sequence": "4"}


@pytest.mark.parametrize("lossless", [True, False])
@pytest.mark.parametrize(
    ("position", "kind", "reason"),
    [
        (Position(5, 4), OutOfRange, "SEQUENCE_AHEAD"),
        (Position(0, 4), OutOfRange, "SEQUENCE_AHEAD"),
        (Position(6, 0), FailedPrecondition, "EPOCH_SUPERSEDED"),
    ],
)
async def test_a_position_that_was_never_reached_is_refused(
    rig: Collector, lossless: bool, position: Position, kind: type[ServiceError], reason: str
) -> None:
    commit(rig, 1, 2, 3)
    error = await refusal(rig.outlet.follow("NIFTY", position, lossless=lossless))
    assert isinstance(error, kind)
    assert error.reason == reason


async def test_before_the_first_chain_no_position_can_be_judged(rig: Collector) -> None:
    error = await refusal(rig.outlet.follow("NIFTY", Position(4, 7), lossless=True))
    assert isinstance(error, Unavailable)
    assert error.reason == "NO_CHAIN_YET"
    async with aclosing(rig.outlet.follow("NIFTY", None, lossless=True)) as stream:
        assert await anext(stream) == Update(None)
        commit(rig, 1)
        assert await take(stream, 1) == [(1, 0)]


async def test_a_durable_chain_that_is_not_announced_yet_waits_for_its_announcement(rig: Collector) -> None:
    commit(rig, *range(1, 11))
    commit(rig, 11, show=False)
    async with aclosing(rig.outlet.follow("NIFTY", None, lossless=True)) as stream:
        assert await take(stream, 10) == [(n, 0) for n in range(1, 11)]
        assert await anext(stream) == Update(None)  # nobody is ahead of the board
        rig.board.publish("NIFTY", Snapshot(rig.journal.read_after("NIFTY", Position(5, 10), 1)[0]))
        assert await take(stream, 1) == [(11, 0)]


async def test_lossless_streams_end_at_their_age_and_when_the_board_closes(tmp_path: Path) -> None:
    young = StreamLimits(heartbeat_s=0.01, max_age_s=0.03)
    async with collector(tmp_path, ScriptedFeed("NIFTY"), ManualClock(), limits=young) as rig:
        with pytest.raises(Unavailable) as caught:
            _ = [update async for update in rig.outlet.follow("NIFTY", None, lossless=True)]
        assert caught.value.reason == "STREAM_AGE_REACHED"
        rig.board.close()
        assert (await refusal(rig.outlet.follow("NIFTY", None, lossless=True))).reason == "SHUTTING_DOWN"


async def test_trimming_waits_for_storage_and_for_the_window_and_at_last_for_nobody(rig: Collector) -> None:
    now_us = int(rig.clock.now().timestamp() * 1_000_000)
    with transaction(rig.writing):
        rig.journal.append(
            Record("NIFTY", Position(5, n), n, now_us + n * 60_000_000, 1, "", b"") for n in range(1, 21)
        )

    async def kept() -> list[int]:
        await rig.trimmer.trim()
        return [record.position.sequence for record in rig.journal.read_after("NIFTY", Position(0, 0), 100)]

    rig.clock.advance(timedelta(minutes=30))
    assert await kept() == list(range(1, 21))  # nothing is stored
    await rig.trimmer.acknowledge("NIFTY", Position(5, 5))
    assert await kept() == list(range(6, 21))
    await rig.trimmer.acknowledge("NIFTY", Position(5, 18))
    await rig.trimmer.acknowledge("NIFTY", Position(5, 3))  # older than one before: nothing is taken back
    rig.clock.advance(timedelta(minutes=-10))
    assert await kept() == list(range(10, 21))  # received less than ten minutes ago
    rig.clock.advance(timedelta(days=7))
    assert await kept() == [20]  # the newest stays, to be shown
