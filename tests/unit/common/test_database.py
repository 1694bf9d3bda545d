from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from optrading.common.database import open_database, transaction
from optrading.common.state import StateError


def test_commits_are_flushed_to_disk_in_a_write_ahead_log(tmp_path: Path) -> None:
    with closing(open_database(tmp_path / "a.sqlite")) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)


@pytest.mark.parametrize("name", ["100% sure?", "a#b", "with space", "ü"])
def test_any_folder_name_will_do(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    path = tmp_path / name / "a.sqlite"
    open_database(path).close()
    assert path.is_file()
    assert [each.name for each in tmp_path.iterdir()] == [name]


def test_a_transaction_is_all_or_nothing(tmp_path: Path) -> None:
    with closing(open_database(tmp_path / "a.sqlite")) as connection:
        connection.execute("CREATE TABLE t (n INTEGER PRIMARY KEY)")
        with pytest.raises(sqlite3.IntegrityError), transaction(connection):
            connection.executemany("INSERT INTO t VALUES (?)", [(1,), (1,)])
        assert not connection.in_transaction
        assert connection.execute("SELECT count(*) FROM t").fetchone() == (0,)
        with transaction(connection):
            connection.execute("INSERT INTO t VALUES (2)")
    with closing(open_database(tmp_path / "a.sqlite", read_only=True)) as connection:
        assert connection.execute("SELECT n FROM t").fetchall() == [(2,)]
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            connection.execute("INSERT INTO t VALUES (3)")


def test_a_transaction_that_the_database_ended_itself_shows_its_own_error(tmp_path: Path) -> None:
    with closing(open_database(tmp_path / "a.sqlite")) as connection:
        connection.execute("CREATE TABLE t (b BLOB)")
        connection.execute("PRAGMA max_page_count=4")
        with pytest.raises(sqlite3.OperationalError, match="full"), transaction(connection):
            connection.execute("INSERT INTO t VALUES (zeroblob(100000))")
        assert not connection.in_transaction


def test_a_file_that_is_no_database_is_one_clear_line(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    path.write_bytes(b"something else entirely " * 100)
    with pytest.raises(StateError, match=r"a\.sqlite cannot be opened as a database: file is not a database"):
        open_database(path)


def test_a_folder_that_is_not_there_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="cannot be opened as a database"):
        open_database(tmp_path / "none" / "a.sqlite")
