from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optrading.collection.feeds.base import FeedError
from optrading.collection.pipeline import next_epoch
from optrading.collection.snapshot import Snapshot
from optrading.common.journal import Journal
from optrading.market.calendar import AlwaysOpen
from optrading.market.chain import ORIGIN, Chain, Position
from optrading.market.codec import from_timestamp
from optrading.market.gaps import GapCause, Interruption
from optrading.testing.clock import ManualClock
from optrading.testing.scripted_feed import ScriptedFeed
from tests.chains import OPENING, small_chain
from tests.unit.collection.rig import Collector, collecting, collector

pytestmark = pytest.mark.timeout(30)  # nothing here waits for long


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def event_ids(rig: Collector) -> list[str]:
    return [notice.event.event_id for notice in rig.outbox.pending(1000)]


@given(st.integers(0, 2**60), st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)))
def test_an_epoch_is_greater_than_the_last_and_not_before_the_present(last: int, now: datetime) -> None:
    epoch = next_epoch(last, now)
    assert epoch > last
    assert epoch >= int(now.timestamp() * 1000)


async def test_chains_are_numbered_from_one_per_index_without_gaps(tmp_path: Path, clock: ManualClock) -> None:
    feed = ScriptedFeed("NIFTY", "SENSEX")
    async with collector(tmp_path, feed, clock) as rig:
        feed.give(small_chain("NIFTY", 0), small_chain("SENSEX", 0), small_chain("NIFTY", 1))
        feed.end()
        await rig.pipeline.run()
        assert rig.pipeline.finished
        epoch = rig.pipeline.epoch
        assert [r.position for r in rig.journal.read_after("NIFTY", ORIGIN, 9)] == [(epoch, 1), (epoch, 2)]
        assert [r.position for r in rig.journal.read_after("SENSEX", ORIGIN, 9)] == [(epoch, 1)]
        newest = rig.board.newest("NIFTY")
        assert newest is not None
        assert from_timestamp(newest.message.event_time) == OPENING + timedelta(minutes=1)
        assert event_ids(rig) == [
            f"legs_collected/{index}/{epoch}/{n}" for index, n in (("NIFTY", 1), ("SENSEX", 1), ("NIFTY", 2))
        ]
        (event, *_) = (notice.event for notice in rig.outbox.pending(1))
        assert (event.legs_collected.count, list(event.legs_collected.buckets)) == (
            12,
            ["next_week", "this_month", "this_week"],
        )
        assert rig.commits


async def test_a_chain_is_in_the_journal_when_it_is_shown(tmp_path: Path, clock: ManualClock) -> None:
    feed = ScriptedFeed("NIFTY")
    async with collector(tmp_path, feed, clock) as rig:
        # Another connection, as another process would have it: it sees commits only.
        with closing(sqlite3.connect(tmp_path / "journal.sqlite")) as other:
            seen_before_commit = []
            publish = rig.board.publish

            def publish_and_look(index: str, item) -> None:
                seen_before_commit.append(item.position not in {r.position for r in everything(other, index)})
                publish(index, item)

            rig.board.publish = publish_and_look  # type: ignore[method-assign]
            feed.give(*(small_chain("NIFTY", n) for n in range(20)))
            feed.end()
            await rig.pipeline.run()
            assert seen_before_commit == [False] * 20


def everything(connection: sqlite3.Connection, index: str):
    return Journal(connection, create=False).read_after(index, ORIGIN, 1000)


async def test_what_cannot_be_committed_is_never_shown(tmp_path: Path, clock: ManualClock) -> None:
    feed = ScriptedFeed("NIFTY")
    async with collector(tmp_path, feed, clock) as rig:
        rig.writing.execute("CREATE TRIGGER full BEFORE INSERT ON outbox BEGIN SELECT raise(ABORT, 'disk full'); END")
        feed.give(small_chain())
        with pytest.raises(ExceptionGroup) as caught:
            await rig.pipeline.run()
        assert caught.group_contains(sqlite3.IntegrityError, match="disk full")
        assert rig.board.newest("NIFTY") is None
        assert rig.journal.last("NIFTY") is None
        assert not rig.pipeline.finished


async def test_a_restart_takes_a_newer_epoch_shows_the_last_chain_and_goes_on_after_it(
    tmp_path: Path, clock: ManualClock
) -> None:
    chains = [small_chain("NIFTY", n) for n in range(4)]
    async with collector(tmp_path, ScriptedFeed("NIFTY"), clock) as first:
        first.feed.give(*chains[:2])
        async with collecting(first):
            await first.until_shown("NIFTY", 2)
        epoch = first.pipeline.epoch
    feed = ScriptedFeed("NIFTY")
    async with collector(tmp_path, feed, clock) as second:  # at the same instant: the clock alone is not enough
        assert second.pipeline.epoch > epoch
        shown = second.board.newest("NIFTY")
        assert shown is not None
        assert shown.position == (epoch, 2)
        feed.give(*chains)
        feed.end()
        await second.pipeline.run()
        assert feed.resume == {"NIFTY": chains[1].event_time}
        positions = [record.position for record in second.journal.read_after("NIFTY", ORIGIN, 9)]
        assert positions == [(epoch, 1), (epoch, 2), (second.pipeline.epoch, 1), (second.pipeline.epoch, 2)]


async def test_the_resume_point_belongs_to_the_recording_and_to_the_run(tmp_path: Path, clock: ManualClock) -> None:
    async def resume_of(identity: str, run_name: str) -> object:
        feed = ScriptedFeed("NIFTY", identity=identity)
        feed.give(small_chain("NIFTY", 0))
        feed.end()
        async with collector(tmp_path, feed, clock, run_name=run_name) as rig:
            await rig.pipeline.run()
        return feed.resume

    assert await resume_of("a", "") == {}
    assert await resume_of("a", "") == {"NIFTY": OPENING}
    assert await resume_of("b", "") == {}
    assert await resume_of("a", "again") == {}
    assert await resume_of("a", "again") == {"NIFTY": OPENING}


async def test_indices_of_an_earlier_feed_are_still_shown(tmp_path: Path, clock: ManualClock) -> None:
    async with collector(tmp_path, ScriptedFeed("NIFTY"), clock) as first:
        first.feed.give(small_chain())
        first.feed.end()
        await first.pipeline.run()
    async with collector(tmp_path, ScriptedFeed("SENSEX"), clock) as second:
        assert sorted(second.board.indices) == ["NIFTY", "SENSEX"]
        assert second.board.newest("NIFTY") is not None
        assert [second.pipeline.has_ended(index) for index in ("NIFTY", "SENSEX")] == [True, False]
        assert second.board.newest("SENSEX") is None


async def test_a_damaged_last_chain_does_not_keep_the_collector_from_starting(
    tmp_path: Path, clock: ManualClock
) -> None:
    async with collector(tmp_path, ScriptedFeed("NIFTY"), clock) as first:
        first.feed.give(small_chain())
        first.feed.end()
        await first.pipeline.run()
        first.writing.execute("UPDATE snapshot SET payload = zeroblob(20)")
        epoch = first.pipeline.epoch
    feed = ScriptedFeed("NIFTY")
    async with collector(tmp_path, feed, clock) as second:
        assert second.board.newest("NIFTY") is None
        feed.give(small_chain("NIFTY", 1))
        feed.end()
        await second.pipeline.run()
        shown = second.board.newest("NIFTY")
        assert shown is not None
        assert shown.position == (second.pipeline.epoch, 1) > (epoch, 1)


async def test_a_feed_that_cannot_go_on_ends_the_pipeline_with_its_error(tmp_path: Path, clock: ManualClock) -> None:
    feed = ScriptedFeed("NIFTY")
    async with collector(tmp_path, feed, clock) as rig:
        feed.fail("the recording ends in the middle of a row")
        with pytest.raises(ExceptionGroup) as caught:
            await rig.pipeline.run()
        assert caught.group_contains(FeedError, match="middle of a row")


async def test_only_the_wanted_strikes_are_kept(tmp_path: Path, clock: ManualClock) -> None:
    feed = ScriptedFeed("NIFTY")
    async with collector(tmp_path, feed, clock, offsets=frozenset({0, 1})) as rig:
        feed.give(small_chain())
        feed.end()
        await rig.pipeline.run()
        newest = rig.board.newest("NIFTY")
        assert newest is not None
        assert [list(each.strike_inr) for each in newest.message.expiries] == [[24_950.0, 25_000.0]] * 2
        assert [list(each.atm_offset) for each in newest.message.expiries] == [[0, 1]] * 2
        assert newest.record.leg_count == 8


async def test_a_leg_that_leaves_the_money_stays_in_the_chains_for_the_overlap(
    tmp_path: Path, clock: ManualClock
) -> None:
    ladder = tuple(24_800.0 + 50.0 * step for step in range(9))

    async def collect(run_name: str) -> list[list[float]]:
        feed = ScriptedFeed("NIFTY")
        async with collector(tmp_path, feed, clock, offsets=frozenset({0}), run_name=run_name) as rig:
            for minute, spot_inr in ((0, 24_950.0), (1, 25_050.0), (5, 25_050.0), (6, 25_050.0)):
                feed.give(small_chain("NIFTY", minute, spot_inr=spot_inr, strikes=ladder))
            feed.end()
            await rig.pipeline.run()
            records = rig.journal.read_after("NIFTY", Position(rig.pipeline.epoch, 0), 9)
            return [list(Snapshot(record).message.expiries[0].strike_inr) for record in records]

    first = await collect("first")
    assert first == [[24_950.0], [24_950.0, 25_050.0], [24_950.0, 25_050.0], [25_050.0]]
    assert await collect("second") == first


async def test_a_lot_size_that_changes_between_expiries_and_within_a_session_stays_with_its_own_legs(
    tmp_path: Path, clock: ManualClock
) -> None:
    def lots(minute: int, near: int, far: int) -> Chain:
        chain = small_chain("NIFTY", minute)
        sizes = zip(chain.expiries, (near, far), strict=True)
        return replace(chain, expiries=tuple(replace(expiry, lot_size=size) for expiry, size in sizes))

    feed = ScriptedFeed("NIFTY")
    async with collector(tmp_path, feed, clock) as rig:
        feed.give(lots(0, 75, 65), lots(1, 65, 65))
        feed.end()
        await rig.pipeline.run()
        messages = [Snapshot(record).message for record in rig.journal.read_after("NIFTY", ORIGIN, 9)]
        assert [[each.lot_size for each in message.expiries] for message in messages] == [[75, 65], [65, 65]]
        # Open interest is in units of the index, so a change of the lot size changes no number of it.
        interest = [list(message.expiries[0].call.open_interest_units) for message in messages]
        assert interest == [[2_000.0, 2_130.0, 2_260.0]] * 2


async def test_a_rollover_of_expiries_moves_the_buckets_while_the_collector_runs(
    tmp_path: Path, clock: ManualClock
) -> None:
    feed = ScriptedFeed("NIFTY")
    async with collector(tmp_path, feed, clock) as rig:
        feed.give(small_chain("NIFTY", 0), small_chain("NIFTY", 374), small_chain("NIFTY", 24 * 60))
        feed.end()
        await rig.pipeline.run()
        messages = [Snapshot(record).message for record in rig.journal.read_after("NIFTY", ORIGIN, 9)]
        today = {"2026-08-18": ["this_week"], "2026-08-25": ["next_week", "this_month"]}
        # An expiry that is past and still listed answers to nothing; it still tells that weeklies are listed.
        tomorrow = {"2026-08-18": [], "2026-08-25": ["this_week", "this_month"]}
        found = [{each.expiry: list(each.buckets) for each in message.expiries} for message in messages]
        assert found == [today, today, tomorrow]


async def test_a_recording_s_present_is_its_own(tmp_path: Path, clock: ManualClock) -> None:
    then = OPENING - timedelta(days=300)
    async with collector(tmp_path, ScriptedFeed("NIFTY", name="replay"), clock) as replay:
        assert replay.pipeline.clock_time(then) == then
    async with collector(tmp_path, ScriptedFeed("NIFTY"), clock, calendar=AlwaysOpen()) as live:
        assert live.pipeline.clock_time(then) == clock.now()


async def test_the_gaps_of_an_index_end_with_its_term(tmp_path: Path, clock: ManualClock) -> None:
    feed = ScriptedFeed("NIFTY", "SENSEX")
    async with collector(tmp_path, feed, clock) as rig, collecting(rig):
        lost = Interruption("NIFTY", GapCause.DISCONNECT, OPENING, None, "lost")
        feed.give(lost, replace(lost, index="SENSEX"), small_chain("NIFTY", 1))
        await rig.until_shown("NIFTY", 1)
        await rig.pipeline.disown("NIFTY")
        assert [rig.gaps.open_count(index) for index in ("NIFTY", "SENSEX")] == [0, 1]
        assert event_ids(rig)[-1].startswith("gap_closed/NIFTY/disconnect/")


@pytest.mark.parametrize(("somebody_else", "causes"), [(False, [GapCause.COLLECTOR_DOWN]), (True, [])])
async def test_what_was_missed_is_known_only_when_the_term_before_was_ours(
    tmp_path: Path, clock: ManualClock, somebody_else: bool, causes: list[GapCause]
) -> None:
    feed = ScriptedFeed("NIFTY")
    async with collector(tmp_path, feed, clock, calendar=AlwaysOpen()) as rig, collecting(rig):
        feed.give(small_chain("NIFTY", 0))
        ours = (await rig.until_shown("NIFTY", 1)).position.epoch
        await rig.pipeline.disown("NIFTY")
        theirs = ours + 5
        await rig.pipeline.own(["NIFTY"], theirs + 1, theirs if somebody_else else ours)
        feed.give(small_chain("NIFTY", 30))
        await rig.until_shown("NIFTY", 1)
        assert [change.gap.cause for change in rig.gaps.changes_after(0, 9)] == causes
