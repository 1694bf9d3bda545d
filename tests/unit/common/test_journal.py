from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optrading.common.database import open_database, transaction
from optrading.common.errors import DataLoss
from optrading.common.journal import Journal, Record
from optrading.market.chain import ORIGIN, Position

FAR = Position(2**62, 2**62)


def record(sequence: int, *, epoch: int = 1, index: str = "NIFTY", received_us: int | None = None) -> Record:
    received = received_us if received_us is not None else 1000 * epoch + sequence
    return Record(index, Position(epoch, sequence), 7, received, 12, "00-trace", f"{index}{epoch}/{sequence}".encode())


def positions(records: list[Record]) -> list[tuple[int, int]]:
    return [tuple(each.position) for each in records]


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(open_database(tmp_path / "journal.sqlite")) as opened:
        yield opened


@pytest.fixture
def journal(connection: sqlite3.Connection) -> Journal:
    return Journal(connection)


def test_records_come_back_whole_and_in_order_of_epoch_and_sequence(journal: Journal) -> None:
    given_in = [record(1, epoch=2), record(2), record(1), record(1, index="SENSEX")]
    journal.append(given_in)
    assert journal.read_after("NIFTY", ORIGIN, 10) == [given_in[2], given_in[1], given_in[0]]
    assert positions(journal.read_after("NIFTY", Position(1, 1), 10)) == [(1, 2), (2, 1)]
    assert positions(journal.read_after("NIFTY", Position(1, 99), 10)) == [(2, 1)]
    assert positions(journal.read_after("NIFTY", ORIGIN, 2)) == [(1, 1), (1, 2)]
    assert journal.read_after("BANKNIFTY", ORIGIN, 10) == []
    assert journal.last("NIFTY") == given_in[0]
    assert journal.last("BANKNIFTY") is None
    assert (journal.first_position("NIFTY"), journal.last_position("NIFTY")) == ((1, 1), (2, 1))
    assert journal.indices() == ["NIFTY", "SENSEX"]


def test_an_empty_journal_has_nothing(journal: Journal) -> None:
    assert journal.indices() == []
    assert journal.last_epoch() == 0
    assert journal.first_position("NIFTY") is journal.last_position("NIFTY") is None
    assert journal.trimmed("NIFTY") == ORIGIN
    assert journal.trim("NIFTY", FAR, 10**15) == 0


def test_a_position_is_taken_once(journal: Journal) -> None:
    journal.append([record(1)])
    with pytest.raises(sqlite3.IntegrityError):
        journal.append([record(1)])


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_any_flipped_bit_of_a_payload_is_noticed(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    payload = data.draw(st.binary(min_size=1, max_size=60))
    bit = data.draw(st.integers(0, 8 * len(payload) - 1))
    damaged = bytearray(payload)
    damaged[bit // 8] ^= 1 << bit % 8
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        journal = Journal(connection)
        journal.append([Record("NIFTY", Position(1, 1), 0, 0, 0, "", payload), record(2)])
        connection.execute("UPDATE snapshot SET payload = ? WHERE sequence = 1", (bytes(damaged),))
        with pytest.raises(DataLoss, match="NIFTY 1/1") as caught:
            journal.read_after("NIFTY", ORIGIN, 10)
        assert caught.value.reason == "DAMAGED_JOURNAL"
        assert caught.value.metadata == {"index": "NIFTY", "epoch": "1", "sequence": "1"}
        assert journal.last("NIFTY") == record(2)


def test_trimming_keeps_what_is_younger_what_is_not_stored_and_the_newest_and_remembers(journal: Journal) -> None:
    journal.append([record(n, received_us=10 * n) for n in range(1, 7)] + [record(1, index="SENSEX", received_us=0)])
    assert journal.trim("NIFTY", Position(1, 2), received_before_us=1000) == 2  # stored up to 2
    assert journal.trimmed("NIFTY") == (1, 2)
    assert journal.trim("NIFTY", FAR, received_before_us=40) == 1  # 40 itself is not before 40
    assert journal.trimmed("NIFTY") == (1, 3)
    assert journal.trim("NIFTY", FAR, received_before_us=10**15) == 2
    assert positions(journal.read_after("NIFTY", ORIGIN, 10)) == [(1, 6)]
    assert journal.trim("NIFTY", FAR, received_before_us=10**15) == 0
    assert journal.trimmed("NIFTY") == (1, 5)
    assert journal.indices() == ["NIFTY", "SENSEX"]


def test_trimming_leaves_no_hole_when_the_clock_was_set_back(journal: Journal) -> None:
    journal.append([record(1, received_us=10), record(2, received_us=900), record(3, received_us=20), record(4)])
    assert journal.trim("NIFTY", FAR, received_before_us=100) == 1
    assert positions(journal.read_after("NIFTY", ORIGIN, 10)) == [(1, 2), (1, 3), (1, 4)]


def test_trimming_goes_in_steps(journal: Journal) -> None:
    journal.append([record(n) for n in range(1, 11)])
    steps = [journal.trim("NIFTY", FAR, 10**15, limit=4) for _ in range(4)]
    assert steps == [4, 4, 1, 0]
    assert journal.trimmed("NIFTY") == (1, 9)


def test_trimming_needs_no_readable_payload(journal: Journal, connection: sqlite3.Connection) -> None:
    journal.append([record(1), record(2)])
    connection.execute("UPDATE snapshot SET payload = x'00'")
    assert journal.trim("NIFTY", FAR, 10**15) == 1


def test_the_last_epoch_is_known_also_when_only_a_cursor_tells_of_it(journal: Journal) -> None:
    journal.append([record(1, epoch=5), record(1, epoch=3, index="SENSEX")])
    assert journal.last_epoch() == 5
    journal.set_cursor("stored/NIFTY", Position(9, 1))
    assert journal.last_epoch() == 9


def test_cursors_and_notes_are_replaced(journal: Journal) -> None:
    assert journal.cursor("stored/NIFTY") == ORIGIN
    assert journal.note("seen") is None
    for sequence in (1, 2):
        journal.set_cursor("stored/NIFTY", Position(1, sequence))
        journal.set_note("seen", str(sequence))
    journal.set_cursor("other/NIFTY", Position(8, 8))
    assert journal.cursor("stored/NIFTY") == (1, 2)
    assert journal.note("seen") == "2"
    assert journal.cursors("stored/") == {"NIFTY": (1, 2)}


def test_removed_records_are_those_between_both_ends(journal: Journal) -> None:
    journal.append([record(n) for n in range(1, 6)])
    assert journal.remove("NIFTY", Position(1, 2), Position(1, 4)) == 3
    assert positions(journal.read_after("NIFTY", ORIGIN, 10)) == [(1, 1), (1, 5)]
    assert journal.holds("NIFTY", Position(1, 5))
    assert not journal.holds("NIFTY", Position(1, 2))


def test_a_reader_sees_commits_only_and_keeps_reading_while_the_log_is_checkpointed(
    tmp_path: Path, journal: Journal, connection: sqlite3.Connection
) -> None:
    with closing(open_database(tmp_path / "journal.sqlite")) as other:
        reading = Journal(other, create=False)
        with transaction(connection):
            journal.append([record(1)])
            assert reading.read_after("NIFTY", ORIGIN, 10) == []
        for n in range(2, 40):
            with transaction(connection):
                journal.append([record(n)])
            if n % 5 == 0:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            assert reading.last_position("NIFTY") == (1, n)
        (busy, *_), *_ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        assert busy == 0  # the reader holds no transaction open between its calls
        assert len(reading.read_after("NIFTY", ORIGIN, 100)) == 39
