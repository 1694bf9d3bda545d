"""Side lanes on disk: chains of one index and epoch that no live stream carries, and which of them storage has.

Three kinds: what is left in the journal of terms that are over, imports, and chains made from a feed's history. The
first are in the journal itself; the others in a table of their own, so that no reader of live chains ever meets them.
Synchronous, for one thread; changes belong inside `database.transaction`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from optrading.common.journal import SIDE, Journal, Record
from optrading.market.chain import Position

_SCHEMA = """
CREATE TABLE IF NOT EXISTS lane_key (
  kind INTEGER NOT NULL,
  name TEXT NOT NULL,
  epoch INTEGER NOT NULL UNIQUE,
  PRIMARY KEY (kind, name)
) STRICT;
CREATE TABLE IF NOT EXISTS lane (
  index_name TEXT NOT NULL,
  epoch INTEGER NOT NULL,
  kind INTEGER NOT NULL,
  last_sequence INTEGER NOT NULL,
  stored_sequence INTEGER NOT NULL,
  PRIMARY KEY (index_name, epoch)
) STRICT, WITHOUT ROWID;
"""


class LaneKind(IntEnum):
    """What a side lane holds; the numbers are those of the contract's `LaneKind`."""

    RETIRED = 1
    """What is left of a term of ownership that is over."""
    IMPORT = 2
    """An import."""
    BACKFILL = 3
    """Chains made from the feed's history to fill a gap."""


@dataclass(frozen=True, slots=True)
class Lane:
    """One side lane.

    Attributes:
        index: Index symbol.
        epoch: Epoch of its chains.
        kind: What it holds.
        first_sequence: Of the first chain that is kept here; 0 when none is.
        last_sequence: Of the last chain it ever had.
    """

    index: str
    epoch: int
    kind: LaneKind
    first_sequence: int
    last_sequence: int


class LaneStore:
    """The side lanes of a collector's journal."""

    def __init__(self, connection: sqlite3.Connection, journal: Journal, *, create: bool = True) -> None:
        """Use `connection`, which the caller owns, and `journal` on it; make the tables unless they are there."""
        self._connection = connection
        self._live = journal
        self._side = Journal(connection, table=SIDE, create=create)
        if create:
            connection.executescript(_SCHEMA)

    def open(self, kind: LaneKind, name: str, least_epoch: int) -> int:
        """Return the epoch of the lanes called `name`: the same for ever; a new one is at least `least_epoch`."""
        row = self._connection.execute(
            "SELECT epoch FROM lane_key WHERE kind = ? AND name = ?", (kind, name)
        ).fetchone()
        if row is not None:
            return int(row[0])
        (last,) = self._connection.execute("SELECT coalesce(max(epoch), 0) FROM lane_key").fetchone()
        epoch = max(int(last) + 1, least_epoch)
        self._connection.execute("INSERT INTO lane_key (kind, name, epoch) VALUES (?, ?, ?)", (kind, name, epoch))
        return epoch

    def kind_of(self, epoch: int) -> LaneKind | None:
        """Return what the lanes of `epoch` hold; None for an epoch that `open` never gave."""
        row = self._connection.execute("SELECT kind FROM lane_key WHERE epoch = ?", (epoch,)).fetchone()
        return LaneKind(row[0]) if row is not None else None

    def is_known(self, kind: LaneKind, name: str) -> bool:
        """Return whether `open` ever gave lanes of this name an epoch."""
        query = "SELECT 1 FROM lane_key WHERE kind = ? AND name = ?"
        return self._connection.execute(query, (kind, name)).fetchone() is not None

    def total(self, epoch: int) -> int:
        """Return how many chains the lanes of `epoch` ever had, over all indices."""
        (count,) = self._connection.execute(
            "SELECT coalesce(sum(last_sequence), 0) FROM lane WHERE epoch = ?", (epoch,)
        ).fetchone()
        return int(count)

    def last_sequence(self, index: str, epoch: int) -> int:
        """Return the sequence of the last chain of a lane; 0 before the first."""
        row = self._connection.execute(
            "SELECT last_sequence FROM lane WHERE index_name = ? AND epoch = ?", (index, epoch)
        ).fetchone()
        return int(row[0]) if row is not None else 0

    def append(self, kind: LaneKind, records: Sequence[Record]) -> None:
        """Add `records`, each at the place after the last of its lane.

        Raises:
            sqlite3.IntegrityError: A position is there already.
        """
        self._side.append(records)
        self._connection.executemany(
            "INSERT INTO lane (index_name, epoch, kind, last_sequence, stored_sequence) VALUES (?, ?, ?, ?, 0)"
            " ON CONFLICT (index_name, epoch) DO UPDATE SET last_sequence = max(last_sequence, excluded.last_sequence)",
            [(record.index, record.position.epoch, kind, record.position.sequence) for record in records],
        )

    def acknowledge(self, index: str, position: Position) -> None:
        """Note that storage is durable up to `position` of a side lane; nothing when it is none of these."""
        self._connection.execute(
            "UPDATE lane SET stored_sequence = max(stored_sequence, ?) WHERE index_name = ? AND epoch = ?",
            (position.sequence, index, position.epoch),
        )

    def lanes(self, live_epochs: dict[str, int]) -> list[Lane]:
        """Return every lane of which storage does not have all, and the retired terms, by index and epoch.

        Args:
            live_epochs: Epoch of each index that is owned now: that one is no side lane.
        """
        found = [
            Lane(index, epoch, LaneKind.RETIRED, first, last)
            for index in self._live.indices()
            for epoch, first, last in self._live.epochs(index)
            if epoch != live_epochs.get(index)
        ]
        rows = self._connection.execute(
            "SELECT index_name, epoch, kind, last_sequence FROM lane WHERE stored_sequence < last_sequence"
        ).fetchall()
        for index, epoch, kind, last in rows:
            first = next((f for e, f, _ in self._side.epochs(index) if e == epoch), 0)
            found.append(Lane(index, epoch, LaneKind(kind), first, last))
        return sorted(found, key=lambda lane: (lane.index, lane.epoch))

    def read(self, index: str, after: Position, limit: int) -> list[Record]:
        """Return up to `limit` chains of the lane of `after`'s epoch that follow it, in order.

        Raises:
            DataLoss: A row does not match its CRC.
        """
        return self._side.read_epoch(index, after, limit) or self._live.read_epoch(index, after, limit)

    def trim(self, stored_before_us: int, all_before_us: int) -> int:
        """Remove what storage has of imports and history, and what is too old to wait for it.

        Args:
            stored_before_us: Of what storage has, only what was received before this, microseconds since 1970 UTC.
            all_before_us: Everything that was received before this.

        Returns:
            How many were removed, some hundreds at most; ask again while there are any.
        """
        return self._connection.execute(
            f"DELETE FROM {SIDE} WHERE row_id IN (SELECT row_id FROM {SIDE} JOIN lane USING (index_name, epoch)"  # noqa: S608  # a constant
            " WHERE (sequence <= stored_sequence AND receive_time_us < ?) OR receive_time_us < ? LIMIT 256)",
            (stored_before_us, all_before_us),
        ).rowcount
