"""The gaps that collectors noted, by index and time, beside the history that they are about.

Synchronous, for one thread; changes belong inside `database.transaction`.
"""

from __future__ import annotations

import sqlite3

from optrading.market.codec import from_timestamp, to_micros
from optrading.market.v1 import gap_pb2

_SCHEMA = """
CREATE TABLE IF NOT EXISTS gap (
  gap_id TEXT PRIMARY KEY,
  index_name TEXT NOT NULL,
  start_time_us INTEGER NOT NULL,
  end_time_us INTEGER,
  payload BLOB NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS gap_by_time ON gap (index_name, start_time_us);
CREATE TABLE IF NOT EXISTS gap_cursor (
  ledger_id TEXT PRIMARY KEY,
  change INTEGER NOT NULL
) STRICT;
"""


class GapTable:
    """The table, on a connection that the caller owns."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Use `connection`; make the tables if they are not there."""
        self._connection = connection
        connection.executescript(_SCHEMA)

    def put(self, ledger_id: str, change: int, gap: gap_pb2.Gap) -> bool:
        """Take a change of a collector's ledger; return False when it is here already."""
        if change <= self.cursor(ledger_id):
            return False
        end_us = to_micros(from_timestamp(gap.end_time)) if gap.HasField("end_time") else None
        self._connection.execute(
            "INSERT OR REPLACE INTO gap (gap_id, index_name, start_time_us, end_time_us, payload)"
            " VALUES (?, ?, ?, ?, ?)",
            (gap.gap_id, gap.index, to_micros(from_timestamp(gap.start_time)), end_us, gap.SerializeToString()),
        )
        self._connection.execute(
            "INSERT OR REPLACE INTO gap_cursor (ledger_id, change) VALUES (?, ?)", (ledger_id, change)
        )
        return True

    def cursor(self, ledger_id: str) -> int:
        """Return the number of the last change of a ledger that is here; 0 when none is."""
        row = self._connection.execute("SELECT change FROM gap_cursor WHERE ledger_id = ?", (ledger_id,)).fetchone()
        return int(row[0]) if row else 0

    def list(self, index: str, start_us: int | None, end_us: int | None) -> list[gap_pb2.Gap]:
        """Return the gaps of `index` that touch [start_us, end_us), by their start; None is without bound."""
        rows = self._connection.execute(
            "SELECT payload FROM gap WHERE index_name = ?1 AND (?2 IS NULL OR end_time_us IS NULL OR end_time_us >= ?2)"
            " AND (?3 IS NULL OR start_time_us < ?3) ORDER BY start_time_us, gap_id",
            (index, start_us, end_us),
        ).fetchall()
        return [gap_pb2.Gap.FromString(payload) for (payload,) in rows]
