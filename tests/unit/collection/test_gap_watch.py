"""Gaps that no feed tells: chains that are late or empty, and a collector that was away."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from optrading.collection.gap_watch import GapWatch
from optrading.market.calendar import AlwaysOpen, Session, TradingCalendar
from optrading.market.chain import Chain
from optrading.market.gaps import GapCause, Interruption
from tests.chains import OPENING, small_chain

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
GAP_AFTER = 10 * SECOND


class OneDay(TradingCalendar):
    """Open on 18 August alone, from 09:15 to 15:30 in India."""

    def __init__(self) -> None:
        super().__init__((), {})

    def session(self, day: date) -> Session | None:
        if day != date(2026, 8, 18):
            return None
        return Session(day, OPENING, datetime(2026, 8, 18, 10, 0, tzinfo=UTC))


def watch(calendar: TradingCalendar | None = None) -> GapWatch:
    return GapWatch(calendar or OneDay(), GAP_AFTER)


def take(watching: GapWatch, minute: int) -> list[Interruption]:
    return watching.on_chain(small_chain("NIFTY", minute), OPENING + minute * MINUTE)


def empty(minute: int) -> Chain:
    return replace(small_chain("NIFTY", minute), expiries=())


def test_silence_begins_a_gap_at_the_last_chain_once_and_the_next_chain_ends_it() -> None:
    watching = watch()
    watching.begin("NIFTY", None, OPENING)
    assert take(watching, 1) == []
    heard = OPENING + MINUTE
    assert watching.overdue(heard + GAP_AFTER, ()) == []
    [late] = watching.overdue(heard + GAP_AFTER + SECOND, ())
    assert (late.index, late.cause, late.since, late.until) == ("NIFTY", GapCause.LATE, heard, None)
    assert watching.overdue(heard + 5 * MINUTE, ()) == []
    [ended] = take(watching, 7)
    assert ended == replace(late, until=OPENING + 7 * MINUTE)
    assert take(watching, 8) == []


def test_silence_that_the_feed_has_explained_or_after_the_close_is_no_gap_of_its_own() -> None:
    watching = watch()
    watching.begin("NIFTY", None, OPENING)
    take(watching, 1)
    assert watching.overdue(OPENING + 5 * MINUTE, ("NIFTY",)) == []
    assert watching.overdue(OPENING + timedelta(hours=8), ()) == []


def test_an_index_that_says_nothing_at_the_opening_is_late_from_the_opening_on() -> None:
    watching = watch()
    watching.begin("NIFTY", None, OPENING - timedelta(hours=1))
    assert watching.overdue(OPENING - SECOND, ()) == []
    assert watching.overdue(OPENING + GAP_AFTER, ()) == []
    assert [news.cause for news in watching.overdue(OPENING + GAP_AFTER + SECOND, ())] == [GapCause.LATE]


def test_nobody_collected_from_the_last_chain_of_the_process_before_to_the_first_new_one() -> None:
    watching = watch()
    watching.begin("NIFTY", OPENING + MINUTE, OPENING + 9 * MINUTE)
    [down] = take(watching, 10)
    assert (down.cause, down.since, down.until) == (
        GapCause.COLLECTOR_DOWN,
        OPENING + MINUTE,
        OPENING + 10 * MINUTE,
    )
    assert take(watching, 12) == []


def test_a_night_between_two_chains_is_nobodys_fault() -> None:
    watching = watch()
    watching.begin("NIFTY", OPENING - timedelta(hours=17), OPENING)
    assert watching.on_chain(small_chain("NIFTY", 0), OPENING) == []


def test_without_a_calendar_only_empty_chains_are_seen() -> None:
    watching = GapWatch(None, GAP_AFTER)
    watching.begin("NIFTY", OPENING, OPENING)
    assert watching.overdue(OPENING + timedelta(hours=1), ()) == []
    assert take(watching, 60) == []
    [began] = watching.on_chain(empty(61), OPENING)
    assert (began.cause, began.since, began.until) == (GapCause.FEED_ERROR, OPENING + 60 * MINUTE, None)
    assert watching.on_chain(empty(62), OPENING) == []
    assert take(watching, 63) == [replace(began, until=OPENING + 63 * MINUTE)]


def test_an_index_of_somebody_else_is_not_watched() -> None:
    watching = watch(AlwaysOpen())
    watching.begin("NIFTY", None, OPENING)
    watching.end("NIFTY")
    assert watching.overdue(OPENING + MINUTE, ()) == []
