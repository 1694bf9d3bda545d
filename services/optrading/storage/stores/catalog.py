"""What the journal's database knows beyond the journal: sealed files, totals per index, and rows set aside.

The catalog is in the same SQLite file as the journal, so that a chain and what is counted of it, or a sealed file and
the removal of what it holds from the journal, are one transaction. Synchronous, for one thread.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Sequence
from dataclasses import astuple, dataclass

from optrading.market.chain import Position

_SCHEMA = """
CREATE TABLE IF NOT EXISTS sealed_file (
  path TEXT PRIMARY KEY,
  index_name TEXT NOT NULL,
  epoch INTEGER NOT NULL,
  first_sequence INTEGER NOT NULL,
  last_sequence INTEGER NOT NULL,
  chain_count INTEGER NOT NULL,
  row_count INTEGER NOT NULL,
  min_event_time_us INTEGER NOT NULL,
  max_event_time_us INTEGER NOT NULL,
  byte_count INTEGER NOT NULL,
  sha256 TEXT NOT NULL,
  seal_number INTEGER UNIQUE NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS index_total (
  index_name TEXT PRIMARY KEY,
  chain_count INTEGER NOT NULL,
  leg_count INTEGER NOT NULL,
  first_event_time_us INTEGER NOT NULL,
  last_event_time_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS set_aside (
  row_id INTEGER PRIMARY KEY,
  index_name TEXT NOT NULL,
  epoch INTEGER NOT NULL,
  sequence INTEGER NOT NULL,
  reason TEXT NOT NULL,
  detail TEXT NOT NULL,
  event_time_us INTEGER,
  traceparent TEXT NOT NULL,
  crc32 INTEGER NOT NULL,
  payload BLOB NOT NULL
) STRICT;
"""

UNDECODABLE = "UNDECODABLE"
"""Reason: collection sent it like this. The bytes are kept as they came."""

DAMAGED = "DAMAGED"
"""Reason: the journal's row no longer matched its checksum."""


@dataclass(frozen=True, slots=True)
class SealedFile:
    """A Parquet file that will not change any more.

    Attributes:
        path: Below the folder of the store, with `/`.
        index: Index symbol.
        epoch: Epoch of all its chains.
        first_sequence: Sequence of its first chain.
        last_sequence: Sequence of its last chain.
        chain_count: Chains in it.
        row_count: Rows in it.
        min_event_time_us: Earliest event time in it, microseconds since 1970 UTC.
        max_event_time_us: Latest event time in it, microseconds since 1970 UTC.
        byte_count: Its size.
        sha256: SHA-256 of its bytes, hexadecimal.
    """

    path: str
    index: str
    epoch: int
    first_sequence: int
    last_sequence: int
    chain_count: int
    row_count: int
    min_event_time_us: int
    max_event_time_us: int
    byte_count: int
    sha256: str

    @property
    def first(self) -> Position:
        """Position of its first chain."""
        return Position(self.epoch, self.first_sequence)

    @property
    def last(self) -> Position:
        """Position of its last chain."""
        return Position(self.epoch, self.last_sequence)


_FILE_COLUMNS = (
    "path, index_name, epoch, first_sequence, last_sequence, chain_count, row_count, min_event_time_us,"
    " max_event_time_us, byte_count, sha256"
)


@dataclass(frozen=True, slots=True)
class Totals:
    """Counts of one index over all epochs.

    Attributes:
        chain_count: Chains stored.
        leg_count: Legs stored: calls and puts with at least one known value.
        first_event_time_us: Earliest event time, microseconds since 1970 UTC.
        last_event_time_us: Event time of the last durable chain, microseconds since 1970 UTC.
    """

    chain_count: int
    leg_count: int
    first_event_time_us: int
    last_event_time_us: int


@dataclass(frozen=True, slots=True)
class SetAside:
    """A chain that is kept but cannot be served.

    Attributes:
        index: Index symbol.
        position: Its place.
        reason: `UNDECODABLE` or `DAMAGED`.
        detail: What was wrong, for people.
        event_time_us: Event time where it is known, microseconds since 1970 UTC.
        traceparent: W3C trace context of its collection.
        payload: Its bytes.
    """

    index: str
    position: Position
    reason: str
    detail: str
    event_time_us: int | None
    traceparent: str
    payload: bytes


class Catalog:
    """The tables, on a connection that the caller owns; writes belong inside `database.transaction`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Use `connection`; make the tables if they are not there."""
        self._connection = connection
        connection.executescript(_SCHEMA)

    def add_file(self, file: SealedFile) -> None:
        """List `file`; those listed later come later in `files`.

        Raises:
            sqlite3.IntegrityError: The path is listed already.
        """
        self._connection.execute(
            f"INSERT INTO sealed_file ({_FILE_COLUMNS}, seal_number)"  # noqa: S608  # constants
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, (SELECT coalesce(max(seal_number), 0) + 1 FROM sealed_file))",
            astuple(file),
        )

    def files(self) -> list[SealedFile]:
        """Return every listed file in the order of sealing."""
        query = f"SELECT {_FILE_COLUMNS} FROM sealed_file ORDER BY seal_number"  # noqa: S608  # constants
        rows = self._connection.execute(query)
        return [SealedFile(*row) for row in rows]

    def add_totals(self, index: str, more: Totals, *, live: bool = True) -> None:
        """Count `more` chains of `index`; those of a side lane are only the last when their event time is."""
        last = "excluded.last_event_time_us" if live else "max(last_event_time_us, excluded.last_event_time_us)"
        self._connection.execute(  # what is put in is one of two constants
            "INSERT INTO index_total (index_name, chain_count, leg_count, first_event_time_us, last_event_time_us)"  # noqa: S608  # a constant
            " VALUES (?, ?, ?, ?, ?) ON CONFLICT (index_name) DO UPDATE SET"
            " chain_count = chain_count + excluded.chain_count, leg_count = leg_count + excluded.leg_count,"
            " first_event_time_us = min(first_event_time_us, excluded.first_event_time_us),"
            f" last_event_time_us = {last}",  # one of two constants
            (index, *astuple(more)),
        )

    def totals(self) -> dict[str, Totals]:
        """Return the totals by index."""
        rows = self._connection.execute(
            "SELECT index_name, chain_count, leg_count, first_event_time_us, last_event_time_us FROM index_total"
        )
        return {index: Totals(*counts) for index, *counts in rows}

    def set_aside(self, rows: Sequence[SetAside]) -> None:
        """Keep `rows` where nothing serves them."""
        self._connection.executemany(
            "INSERT INTO set_aside (index_name, epoch, sequence, reason, detail, event_time_us, traceparent, crc32,"
            " payload) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (r.index, *r.position, r.reason, r.detail, r.event_time_us, r.traceparent, zlib.crc32(r.payload),
                 r.payload)
                for r in rows
            ],
        )  # fmt: skip

    def set_aside_damaged(self, index: str, position: Position) -> None:
        """Move a journal row that fails its checksum here, with the checksum that it should have had."""
        self._connection.execute(
            "INSERT INTO set_aside (index_name, epoch, sequence, reason, detail, event_time_us, traceparent, crc32,"
            " payload) SELECT index_name, epoch, sequence, ?, 'the bytes do not match crc32', event_time_us,"
            " traceparent, crc32, payload FROM snapshot WHERE index_name = ? AND epoch = ? AND sequence = ?",
            (DAMAGED, index, *position),
        )

    def list_set_aside(self, reason: str) -> list[SetAside]:
        """Return what was set aside for `reason`."""
        rows = self._connection.execute(
            "SELECT index_name, epoch, sequence, reason, detail, event_time_us, traceparent, payload FROM set_aside"
            " WHERE reason = ? ORDER BY row_id",
            (reason,),
        )
        return [SetAside(index, Position(epoch, sequence), *rest) for index, epoch, sequence, *rest in rows]
