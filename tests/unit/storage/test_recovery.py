from __future__ import annotations

import random
import shutil
import sqlite3

import pytest
from structlog.testing import capture_logs

from optrading.common.state import StateError
from optrading.market.chain import Position
from optrading.storage.recovery import UNLISTED
from optrading.storage.stores.catalog import DAMAGED
from optrading.storage.stores.parquet import seal
from tests.chains import small_chain
from tests.unit.storage.samples import bits, open_kept


@pytest.fixture
def kept(tmp_path):
    state = open_kept(tmp_path)
    state.store([(Position(7, s), small_chain(minute=s)) for s in range(1, 6)])
    return state


def tail_of(state, index: str = "NIFTY"):
    return [bits(each.chain, each.position) for each in state.history.of(index).tail]


def seal_tail(state):
    tail = state.history.of("NIFTY").tail
    return seal(state.directory, "NIFTY", tail[0].trading_date, tail)


def test_a_new_folder_holds_nothing(tmp_path):
    assert list(open_kept(tmp_path).history.known()) == []


def test_a_crash_while_a_file_is_written_leaves_the_journal_as_the_truth(kept):
    before = tail_of(kept)
    file = seal_tail(kept)
    half = kept.directory / (file.path + ".unsealed")
    (kept.directory / file.path).rename(half)
    half.write_bytes(half.read_bytes()[:100])
    again = open_kept(kept.directory)
    assert again.files() == []
    assert tail_of(again) == before


def test_a_crash_between_the_file_and_its_listing_leaves_the_journal_as_the_truth(kept):
    before = tail_of(kept)
    file = seal_tail(kept)
    again = open_kept(kept.directory)
    assert again.files() == []
    assert tail_of(again) == before
    again.roll()
    assert again.files() == [file.path]


def test_a_crash_after_the_listing_leaves_the_file_as_the_truth(kept):
    kept.roll()
    again = open_kept(kept.directory)
    assert again.files() == [file.path for file in again.history.of("NIFTY").files]
    assert tail_of(again) == []
    assert again.history.of("NIFTY").totals.chain_count == 5


def test_a_file_that_nothing_replaces_is_put_aside_and_not_removed(kept, tmp_path_factory):
    kept.roll()
    [path] = kept.files()
    content = (kept.directory / path).read_bytes()
    other = tmp_path_factory.mktemp("other")
    shutil.copytree(kept.directory / "chains", other / "chains")
    with capture_logs() as logs:
        state = open_kept(other)
    assert state.files() == []
    assert (other / UNLISTED / path.removeprefix("chains/")).read_bytes() == content
    assert [entry["event"] for entry in logs] == ["unlisted_file_set_aside"]


def test_every_flipped_bit_of_a_journal_row_is_found_and_the_rest_is_there(kept, tmp_path_factory):
    kept.outbox.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    whole = tail_of(kept)
    rng = random.Random(2)
    for _ in range(20):
        copy = tmp_path_factory.mktemp("copy")
        shutil.copy(kept.directory / "journal.sqlite", copy / "journal.sqlite")
        sequence = rng.randint(1, 5)
        with sqlite3.connect(copy / "journal.sqlite") as connection:
            [payload] = connection.execute("SELECT payload FROM snapshot WHERE sequence = ?", (sequence,)).fetchone()
            spoiled = bytearray(payload)
            spoiled[rng.randrange(len(spoiled))] ^= 1 << rng.randrange(8)
            connection.execute("UPDATE snapshot SET payload = ? WHERE sequence = ?", (bytes(spoiled), sequence))
        connection.close()
        with capture_logs() as logs:
            state = open_kept(copy)
        assert tail_of(state) == [row for row in whole if row[0] != Position(7, sequence)]
        assert [damage.position for damage in state.history.of("NIFTY").damaged] == [Position(7, sequence)]
        assert (logs[0]["event"], logs[0]["position"]) == ("journal_row_damaged", Position(7, sequence))
        [aside] = state.catalog.list_set_aside(DAMAGED)
        assert aside.payload == bytes(spoiled)
        # Known from now on, without finding it again.
        assert [damage.position for damage in open_kept(copy).history.of("NIFTY").damaged] == [Position(7, sequence)]


@pytest.mark.parametrize("column", ["sequence", "event_time_us"])
def test_a_row_whose_columns_contradict_its_payload_is_damaged(kept, column):
    kept.outbox.connection.execute(f"UPDATE snapshot SET {column} = {column} + 64 WHERE sequence = 3")
    state = open_kept(kept.directory)
    assert len(state.history.of("NIFTY").tail) == 4
    assert len(state.history.of("NIFTY").damaged) == 1


def test_a_journal_that_is_no_database_is_one_clear_error(tmp_path):
    (tmp_path / "journal.sqlite").write_bytes(b"not a database" * 400)
    with pytest.raises(StateError, match=r"journal\.sqlite"):
        open_kept(tmp_path)


def test_rolling_goes_on_around_a_damaged_row(kept):
    kept.outbox.connection.execute("UPDATE snapshot SET payload = x'00' WHERE sequence = 3")
    state = open_kept(kept.directory)
    state.roll()
    [file] = state.history.of("NIFTY").files
    assert (file.first_sequence, file.last_sequence, file.chain_count) == (1, 5, 4)
