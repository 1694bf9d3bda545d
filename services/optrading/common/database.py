"""SQLite as we use it: WAL, every commit on disk before it returns."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from optrading.common.state import StateError


def open_database(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """Open the database at `path`, for use by one thread at a time.

    A commit returns after fsync (`synchronous=FULL`): what is committed survives power loss.

    Raises:
        StateError: It cannot be opened, or is no database.
    """
    try:
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rwc'}",
            uri=True,
            isolation_level=None,  # transactions are begun by `transaction`, never implicitly
            check_same_thread=False,  # made in one thread, then used by one worker
            timeout=30.0,  # a checkpoint of a reader may hold the lock for a moment
        )
        connection.execute("PRAGMA synchronous=FULL")
        if not read_only:
            connection.execute("PRAGMA journal_mode=WAL")
    except sqlite3.Error as error:
        raise StateError(f"{path} cannot be opened as a database: {error}") from error
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Make the statements of the block one durable unit: all of them on disk, or none."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # A full disk can end the transaction by itself, or leave it open after a commit that failed.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
