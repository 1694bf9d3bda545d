"""An append-only table of serialized snapshots: the collector's outbox and storage's record.

Rows are keyed by (index, epoch, sequence) and carry a CRC-32 of their bytes, which is checked at every read: SQLite
does not notice a flipped bit. Methods are synchronous, for one thread; writes belong inside `database.transaction`.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from itertools import takewhile

from optrading.common.bookmarks import Bookmarks
from optrading.common.errors import DataLoss
from optrading.market.chain import ORIGIN, Position

LIVE = "snapshot"
"""Table of the chains that live streams carry."""

SIDE = "side_snapshot"
"""Table of chains that no live stream carries: imports, and what was made from a feed's history."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS {table} (
  row_id INTEGER PRIMARY KEY,
  index_name TEXT NOT NULL,
  epoch INTEGER NOT NULL,
  sequence INTEGER NOT NULL,
  event_time_us INTEGER NOT NULL,
  receive_time_us INTEGER NOT NULL,
  leg_count INTEGER NOT NULL,
  traceparent TEXT NOT NULL,
  crc32 INTEGER NOT NULL,
  payload BLOB NOT NULL,
  UNIQUE (index_name, epoch, sequence)
) STRICT;
"""

_COLUMNS = "index_name, epoch, sequence, event_time_us, receive_time_us, leg_count, traceparent, crc32, payload"


@dataclass(frozen=True, slots=True)
class Record:
    """One serialized snapshot.

    Attributes:
        index: Index symbol.
        position: Its place.
        event_time_us: Event time, microseconds since 1970 UTC.
        receive_time_us: Receive time, microseconds since 1970 UTC.
        leg_count: Legs with at least one known value.
        traceparent: W3C trace context of its collection; may be empty.
        payload: Serialized optrading.market.v1.ChainSnapshot.
    """

    index: str
    position: Position
    event_time_us: int
    receive_time_us: int
    leg_count: int
    traceparent: str
    payload: bytes


class Journal(Bookmarks):
    """The table and its bookmarks, on a connection that the caller owns."""

    def __init__(self, connection: sqlite3.Connection, *, table: str = LIVE, create: bool = True) -> None:
        """Use `table` on `connection`; make the tables unless they are known to be there."""
        super().__init__(connection, create=create)
        self._table = table
        if create:
            connection.executescript(_SCHEMA.format(table=table))

    def append(self, records: Iterable[Record]) -> None:
        """Add `records`.

        Raises:
            sqlite3.IntegrityError: A position is there already.
        """
        self._connection.executemany(
            f"INSERT INTO {self._table} ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (r.index, *r.position, r.event_time_us, r.receive_time_us, r.leg_count, r.traceparent,
                 zlib.crc32(r.payload), r.payload)
                for r in records
            ],
        )  # fmt: skip

    def read_after(self, index: str, position: Position, limit: int) -> list[Record]:
        """Return up to `limit` records of `index` after `position`, in order.

        Raises:
            DataLoss: A row does not match its CRC.
        """
        rows = self._connection.execute(
            f"SELECT {_COLUMNS} FROM {self._table} WHERE index_name = ? AND (epoch, sequence) > (?, ?)"
            " ORDER BY epoch, sequence LIMIT ?",
            (index, *position, limit),
        )
        return [_record(row) for row in rows]

    def last(self, index: str) -> Record | None:
        """Return the newest record of `index`.

        Raises:
            DataLoss: The row does not match its CRC.
        """
        rows = self._connection.execute(
            f"SELECT {_COLUMNS} FROM {self._table} WHERE index_name = ? ORDER BY epoch DESC, sequence DESC LIMIT 1",
            (index,),
        )
        return next((_record(row) for row in rows), None)

    def first_position(self, index: str) -> Position | None:
        """Return the oldest position of `index` that is kept."""
        row = self._connection.execute(
            f"SELECT epoch, sequence FROM {self._table} WHERE index_name = ? ORDER BY epoch, sequence LIMIT 1", (index,)
        ).fetchone()
        return Position(*row) if row else None

    def last_position(self, index: str) -> Position | None:
        """Return the newest position of `index` that is kept, without reading the record."""
        row = self._connection.execute(
            f"SELECT epoch, sequence FROM {self._table} WHERE index_name = ?"
            " ORDER BY epoch DESC, sequence DESC LIMIT 1",
            (index,),
        ).fetchone()
        return Position(*row) if row else None

    def epochs(self, index: str) -> list[tuple[int, int, int]]:
        """Return each epoch of `index` that has records here, ascending, with its first and last sequence kept."""
        found: list[tuple[int, int, int]] = []
        epoch = 0
        while True:
            # From epoch to epoch along the index: grouping would read every entry of it.
            (epoch,) = self._connection.execute(
                f"SELECT min(epoch) FROM {self._table} WHERE index_name = ? AND epoch > ?", (index, epoch)
            ).fetchone()
            if epoch is None:
                return found
            first, last = self._connection.execute(
                f"SELECT (SELECT min(sequence) FROM {self._table} WHERE index_name = ?1 AND epoch = ?2),"
                f" (SELECT max(sequence) FROM {self._table} WHERE index_name = ?1 AND epoch = ?2)",
                (index, epoch),
            ).fetchone()
            found.append((epoch, first, last))

    def read_epoch(self, index: str, after: Position, limit: int) -> list[Record]:
        """Return up to `limit` records of the epoch of `after` that follow it, in order.

        Raises:
            DataLoss: A row does not match its CRC.
        """
        rows = self._connection.execute(
            f"SELECT {_COLUMNS} FROM {self._table} WHERE index_name = ? AND epoch = ? AND sequence > ?"
            " ORDER BY sequence LIMIT ?",
            (index, *after, limit),
        )
        return [_record(row) for row in rows]

    def indices(self) -> list[str]:
        """Return the indices that have records, by name."""
        # From name to name along the index; DISTINCT would read every entry of it.
        rows = self._connection.execute(
            f"WITH RECURSIVE each(name) AS (SELECT min(index_name) FROM {self._table} UNION ALL"
            f" SELECT (SELECT min(index_name) FROM {self._table} WHERE index_name > name) FROM each"
            " WHERE name IS NOT NULL)"
            " SELECT name FROM each WHERE name IS NOT NULL"
        )
        return [name for (name,) in rows]

    def last_epoch(self) -> int:
        """Return the greatest epoch that has a record or a cursor; 0 when there is none."""
        (noted,) = self._connection.execute("SELECT coalesce(max(epoch), 0) FROM cursor").fetchone()
        kept = [self.last_position(index) or ORIGIN for index in self.indices()]
        return max([int(noted), *(position.epoch for position in kept)])

    def trim(self, index: str, up_to: Position, received_before_us: int, limit: int = 256) -> int:
        """Remove the oldest records of `index`: up to `up_to`, received before an instant, and never the newest one.

        Removing ends at the first record that stays: there are no holes.

        Args:
            index: Index symbol.
            up_to: The last position that may go.
            received_before_us: Only what was received before this, microseconds since 1970 UTC.
            limit: How many may go at once, so that writers need not wait long; ask again while it is reached.

        Returns:
            How many were removed.
        """
        newest = self.last_position(index)
        if newest is None:
            return 0
        with closing(
            self._connection.execute(
                f"SELECT row_id, receive_time_us, epoch, sequence FROM {self._table} WHERE index_name = ?"
                " AND (epoch, sequence) <= (?, ?) AND (epoch, sequence) < (?, ?) ORDER BY epoch, sequence LIMIT ?",
                (index, *up_to, *newest, limit),
            )
        ) as rows:
            old = list(takewhile(lambda row: row[1] < received_before_us, rows))
        if old:
            self._connection.executemany(f"DELETE FROM {self._table} WHERE row_id = ?", [row[:1] for row in old])
            self.set_cursor(_trimmed(index), Position(*old[-1][2:]))
        return len(old)

    def holds(self, index: str, position: Position) -> bool:
        """Return whether `position` of `index` is here."""
        return bool(
            self._connection.execute(
                f"SELECT 1 FROM {self._table} WHERE index_name = ? AND (epoch, sequence) = (?, ?)", (index, *position)
            ).fetchone()
        )

    def remove(self, index: str, first: Position, last: Position) -> int:
        """Remove the records of `index` from `first` to `last`, both included: they are kept elsewhere now.

        Returns:
            How many were removed.
        """
        return self._connection.execute(
            f"DELETE FROM {self._table} WHERE index_name = ? AND (epoch, sequence) BETWEEN (?, ?) AND (?, ?)",
            (index, *first, *last),
        ).rowcount

    def trimmed(self, index: str) -> Position:
        """Return the greatest position of `index` that was trimmed away; ORIGIN when nothing was."""
        return self.cursor(_trimmed(index))


def _trimmed(index: str) -> str:
    return f"trimmed/{index}"


def _record(row: tuple[str, int, int, int, int, int, str, int, bytes]) -> Record:
    index, epoch, sequence, event_time_us, receive_time_us, leg_count, traceparent, crc32, payload = row
    if zlib.crc32(payload) != crc32:
        raise DataLoss(
            f"the journal's row {index} {epoch}/{sequence} does not match its checksum",
            reason="DAMAGED_JOURNAL",
            metadata={"index": index, "epoch": str(epoch), "sequence": str(sequence)},
        )
    return Record(index, Position(epoch, sequence), event_time_us, receive_time_us, leg_count, traceparent, payload)
