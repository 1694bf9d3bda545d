"""Gaps: intervals of one index of which something is missing or suspicious, each with its cause."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum


class GapCause(IntEnum):
    """Why something is missing; the numbers are those of the contract's `GapCause`."""

    DISCONNECT = 1
    """The connection to the feed was lost, or said nothing for too long."""
    LATE = 2
    """Chains or ticks came later than they should, while the connection was there."""
    MARKET_CLOSED = 3
    """The market was closed: nothing is missing."""
    FEED_ERROR = 4
    """The feed sent what cannot be read or cannot be true, or said that it failed."""
    SESSION_REFUSED = 5
    """The broker refused the session: somebody must log in."""
    COLLECTOR_DOWN = 6
    """No collector ran, or none owned the index."""


class GapRepair(IntEnum):
    """Whether a gap was filled from the feed's history; the numbers are those of the contract's `GapRepair`."""

    UNSPECIFIED = 0
    """Not tried yet, or nothing to fill."""
    BACKFILLED = 1
    """All of it was filled, as far as the feed's history goes."""
    PARTIAL = 2
    """Some of it was filled."""
    UNAVAILABLE = 3
    """The feed has no history of it."""


@dataclass(frozen=True, slots=True)
class Interruption:
    """What a feed says when something of an index is missing, and again when all is well.

    What is said later of the same `index`, `cause` and `since` is about the same gap.

    Attributes:
        index: Index symbol.
        cause: Why.
        since: Last instant at which all was well, aware, UTC; by the feed's own clock, as event times are.
        until: First instant at which all was well again, aware, UTC; None while it lasts.
        detail: One line for people.
        leg_count: Legs concerned; 0 when it is the whole index.
    """

    index: str
    cause: GapCause
    since: datetime
    until: datetime | None
    detail: str
    leg_count: int = 0
