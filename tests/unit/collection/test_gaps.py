"""The gap ledger on disk."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from optrading.collection.gaps import GapLedger
from optrading.common.database import open_database
from optrading.market.codec import to_timestamp
from optrading.market.gaps import GapCause, GapRepair, Interruption
from tests.chains import OPENING

MINUTE = timedelta(minutes=1)
NOW = OPENING + timedelta(hours=1)


def said(
    begin: int, end: int | None = None, cause: GapCause = GapCause.DISCONNECT, index: str = "NIFTY"
) -> Interruption:
    return Interruption(index, cause, OPENING + begin * MINUTE, None if end is None else OPENING + end * MINUTE, "lost")


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(open_database(tmp_path / "journal.sqlite")) as connection:
        yield connection


def told(ledger: GapLedger, news: Interruption) -> list[str]:
    return [notice.event.event_type for notice in ledger.note(news, 7, NOW)]


def test_what_is_said_again_of_a_gap_changes_nothing(connection: sqlite3.Connection) -> None:
    ledger = GapLedger(connection)
    assert [told(ledger, news) for news in (said(1), said(1), said(1, 3), said(1, 4), said(1))] == [
        ["gap_detected"],
        [],
        ["gap_closed"],
        [],
        [],
    ]
    assert ledger.last_change() == 2
    assert [change.number for change in ledger.changes_after(1, 9)] == [2]


def test_a_gap_that_is_told_when_it_is_over_is_one_change(connection: sqlite3.Connection) -> None:
    ledger = GapLedger(connection)
    assert told(ledger, said(1, 3)) == ["gap_detected"]
    [change] = ledger.changes_after(0, 9)
    assert change.gap.end_time == to_timestamp(OPENING + 3 * MINUTE)
    assert ledger.open_count("NIFTY") == 0


def test_a_closed_market_is_open_only_for_those_who_ask_for_it(connection: sqlite3.Connection) -> None:
    ledger = GapLedger(connection)
    told(ledger, said(1))
    told(ledger, said(2, cause=GapCause.MARKET_CLOSED))
    told(ledger, said(2, index="SENSEX"))
    assert (ledger.open_count("NIFTY"), ledger.open_count("NIFTY", closed_too=True)) == (1, 2)


def test_a_ledger_keeps_its_name_and_its_open_gaps_over_a_restart(connection: sqlite3.Connection) -> None:
    before = GapLedger(connection)
    told(before, said(1))
    told(before, said(2, index="SENSEX"))
    after = GapLedger(connection)
    assert after.ledger_id == before.ledger_id
    assert after.open_count("NIFTY") == 1
    told(after, said(5))  # of this process: its own feed tells when it ends
    closed = after.close_inherited("NIFTY", OPENING + 9 * MINUTE, NOW)
    assert [notice.event.gap_closed.gap.start_time for notice in closed] == [to_timestamp(OPENING + MINUTE)]
    assert (after.open_count("NIFTY"), after.open_count("SENSEX")) == (1, 1)
    assert after.close_inherited("NIFTY", OPENING + 9 * MINUTE, NOW) == []


def test_all_gaps_of_an_index_end_when_it_is_given_up(connection: sqlite3.Connection) -> None:
    told(GapLedger(connection), said(0))
    ledger = GapLedger(connection)
    told(ledger, said(1))
    told(ledger, said(1, index="SENSEX"))
    ended = ledger.close_all("NIFTY", NOW)
    assert [notice.event.gap_closed.gap.end_time for notice in ended] == [to_timestamp(NOW)] * 2
    assert (ledger.open_count("NIFTY"), ledger.open_count("SENSEX")) == (0, 1)
    assert ledger.close_all("NIFTY", NOW) == []


def test_only_what_has_ended_and_was_not_tried_is_to_be_filled(connection: sqlite3.Connection) -> None:
    ledger = GapLedger(connection)
    for news in (said(1, 2), said(3, 4), said(5), said(6, 7, GapCause.MARKET_CLOSED)):
        told(ledger, news)
    first, second = ledger.to_repair()
    assert (first.start_time, second.start_time) == tuple(to_timestamp(OPENING + n * MINUTE) for n in (1, 3))
    ledger.set_repair(first.gap_id, GapRepair.UNAVAILABLE, 0)
    assert [gap.gap_id for gap in GapLedger(connection).to_repair()] == [second.gap_id]


def test_another_database_is_another_ledger(connection: sqlite3.Connection, tmp_path: Path) -> None:
    with closing(open_database(tmp_path / "other.sqlite")) as other:
        assert GapLedger(other).ledger_id != GapLedger(connection).ledger_id
