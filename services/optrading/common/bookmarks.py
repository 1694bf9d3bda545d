"""Named positions and texts in a database: where somebody is, and what is to be remembered with it.

Synchronous, for one thread; writes belong inside `database.transaction`, with what they are about.
"""

from __future__ import annotations

import sqlite3

from optrading.market.chain import ORIGIN, Position

_SCHEMA = """
CREATE TABLE IF NOT EXISTS cursor (
  name TEXT PRIMARY KEY,
  epoch INTEGER NOT NULL,
  sequence INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS note (
  name TEXT PRIMARY KEY,
  value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
"""


class Bookmarks:
    """The tables of cursors and notes, on a connection that the caller owns."""

    def __init__(self, connection: sqlite3.Connection, *, create: bool = True) -> None:
        """Use `connection`; make the tables unless they are known to be there."""
        self._connection = connection
        if create:
            connection.executescript(_SCHEMA)

    def cursor(self, name: str) -> Position:
        """Return the position kept under `name`; ORIGIN when there is none."""
        row = self._connection.execute("SELECT epoch, sequence FROM cursor WHERE name = ?", (name,)).fetchone()
        return Position(*row) if row else ORIGIN

    def cursors(self, prefix: str) -> dict[str, Position]:
        """Return the cursors whose names begin with `prefix`, by the rest of the name."""
        rows = self._connection.execute("SELECT name, epoch, sequence FROM cursor WHERE name GLOB ?", (f"{prefix}*",))
        return {name.removeprefix(prefix): Position(epoch, sequence) for name, epoch, sequence in rows}

    def set_cursor(self, name: str, position: Position) -> None:
        """Keep `position` under `name`."""
        self._connection.execute(
            "INSERT OR REPLACE INTO cursor (name, epoch, sequence) VALUES (?, ?, ?)", (name, *position)
        )

    def note(self, name: str) -> str | None:
        """Return the text kept under `name`."""
        row = self._connection.execute("SELECT value FROM note WHERE name = ?", (name,)).fetchone()
        return str(row[0]) if row else None

    def set_note(self, name: str, value: str) -> None:
        """Keep `value` under `name`."""
        self._connection.execute("INSERT OR REPLACE INTO note (name, value) VALUES (?, ?)", (name, value))
