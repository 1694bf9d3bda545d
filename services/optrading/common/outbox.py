"""Notices that are still to be sent, committed together with what they tell of.

A notice is written in the same transaction as the data, sent afterwards, and removed only when the bus has it. A crash
in between sends it again: at least once, recognisable by its event id.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from optrading.market.v1 import event_pb2

CAPACITY = 100_000
"""Notices that wait at most, the newest ones. A stream of the bus keeps about as many: more would be sent for nothing.
"""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS outbox (
  row_id INTEGER PRIMARY KEY AUTOINCREMENT,
  traceparent TEXT NOT NULL,
  event BLOB NOT NULL
) STRICT;
"""


@dataclass(frozen=True, slots=True)
class Notice:
    """An event with the trace it belongs to.

    Attributes:
        event: What happened.
        traceparent: W3C trace context; may be empty.
        row_id: Place in the outbox; 0 before it is there.
    """

    event: event_pb2.Event
    traceparent: str
    row_id: int = 0


class Outbox:
    """The table of notices to send, on a connection that the caller owns. Synchronous, for one thread."""

    def __init__(self, connection: sqlite3.Connection, *, enabled: bool, capacity: int = CAPACITY) -> None:
        """Use `connection`; make the table if it is not there. Without a bus (not `enabled`) nothing is kept.

        Of what waits, the newest `capacity` are kept.
        """
        self.connection = connection
        self._enabled = enabled
        self._capacity = capacity
        connection.executescript(_SCHEMA)

    def add(self, notices: Iterable[Notice]) -> None:
        """Add `notices`; belongs inside the transaction of what they tell of."""
        if not self._enabled:
            return
        self.connection.executemany(
            "INSERT INTO outbox (traceparent, event) VALUES (?, ?)",
            [(notice.traceparent, notice.event.SerializeToString()) for notice in notices],
        )
        self.connection.execute(
            "DELETE FROM outbox WHERE row_id <= (SELECT max(row_id) FROM outbox) - ?", (self._capacity,)
        )

    def pending(self, limit: int) -> list[Notice]:
        """Return up to `limit` notices, oldest first."""
        rows = self.connection.execute(
            "SELECT row_id, traceparent, event FROM outbox ORDER BY row_id LIMIT ?", (limit,)
        )
        return [Notice(event_pb2.Event.FromString(event), traceparent, row_id) for row_id, traceparent, event in rows]

    def remove(self, notices: Sequence[Notice]) -> None:
        """Forget `notices`, which were sent."""
        self.connection.executemany("DELETE FROM outbox WHERE row_id = ?", [(notice.row_id,) for notice in notices])
