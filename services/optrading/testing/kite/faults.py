"""Faults by command, and a record of what was done when, so that what a collector noticed can be held against it."""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from optrading.common.clock import Clock
from optrading.testing.kite.accounts import Account
from optrading.testing.kite.connection import TickerConnection
from optrading.testing.kite.garbage import garbage_frame
from optrading.testing.kite.instrument_table import InstrumentTable
from optrading.testing.kite.market import Market
from optrading.testing.kite.ticker import TickerServer


class FaultKind(StrEnum):
    """What can go wrong at a broker."""

    DROP = "drop"
    """TCP is cut, without a word or after a closing handshake."""
    HALF_OPEN = "half_open"
    """Nothing is sent or read any more, and TCP stays."""
    STALE = "stale"
    """Heartbeats go on, but some tokens, or all, tick no more."""
    REVOKE = "revoke"
    """Every session ends: 403 until somebody logs in."""
    GARBAGE = "garbage"
    """A binary message that cannot be read, or not wholly."""
    DUPLICATE = "duplicate"
    """Every message comes twice."""
    REORDER = "reorder"
    """One instant comes after the next."""
    SLOW = "slow"
    """Every message comes late."""
    INSTRUMENTS = "instruments"
    """The instrument dump changes: strikes are added, or lot sizes change."""


@dataclass(frozen=True, slots=True)
class FaultRecord:
    """What was done.

    Attributes:
        number: Counts from 1.
        kind: What.
        began_at: By the broker's clock, aware, UTC.
        event_time: The exchange's time then; None before the first instant.
        ended_at: When it was mended; None while it lasts, equal to `began_at` for what has no duration.
        ended_event_time: The exchange's time then.
        details: With what, and of which tokens: enough to tell what must have been noticed.
    """

    number: int
    kind: FaultKind
    began_at: datetime
    event_time: datetime | None
    ended_at: datetime | None = None
    ended_event_time: datetime | None = None
    details: Mapping[str, object] = field(default_factory=dict)

    def as_json(self) -> dict[str, object]:
        """Return it for JSON, times in ISO 8601."""
        times = ("began_at", "event_time", "ended_at", "ended_event_time")
        content = asdict(self)
        return {k: v.isoformat() if k in times and v is not None else v for k, v in content.items()}


class Faults:
    """Injects faults into a broker; each method does one, and `mend` ends all that last."""

    def __init__(
        self, ticker: TickerServer, account: Account, instruments: InstrumentTable, market: Market, clock: Clock
    ) -> None:
        """Act on these parts of one broker."""
        self._ticker = ticker
        self._account = account
        self._instruments = instruments
        self._market = market
        self._clock = clock
        self._records: list[FaultRecord] = []

    @property
    def records(self) -> Sequence[FaultRecord]:
        """Return what was done so far, oldest first."""
        return tuple(self._records)

    def drop(self, connection: int | None = None, *, orderly: bool = False) -> FaultRecord:
        """Cut a connection (None: all); `orderly` says goodbye first."""
        chosen = self._chosen(connection)
        details = {**_concerned(chosen), "orderly": orderly}
        for each in chosen:
            if orderly:
                each.say_goodbye()
            else:
                each.abort()
        return self._note(FaultKind.DROP, details, lasts=False)

    def half_open(self, connection: int | None = None) -> FaultRecord:
        """Let a connection (None: all) go dead; it stays so until mended, which cuts it."""
        chosen = self._chosen(connection)
        for each in chosen:
            each.become_half_open()
        return self._note(FaultKind.HALF_OPEN, _concerned(chosen))

    def stale(self, tokens: Collection[int] | None = None) -> FaultRecord:
        """Let these tokens (None: all) tick no more until mended; what they missed comes then."""
        self._ticker.mute(None if tokens is None else frozenset(tokens))
        return self._note(FaultKind.STALE, {"tokens": None if tokens is None else sorted(tokens)})

    def revoke(self) -> FaultRecord:
        """End every session and cut every connection; a login, not mending, ends this."""
        chosen = self._chosen(None)
        self._account.end_all()
        for each in chosen:
            each.abort()
        return self._note(FaultKind.REVOKE, _concerned(chosen), lasts=False)

    def garbage(self, connection: int | None = None, *, seed: int = 0) -> FaultRecord:
        """Send a connection (None: all) one message of garbage, the same for the same seed."""
        chosen = self._chosen(connection)
        kind, frame = garbage_frame(random.Random(seed))
        for each in chosen:
            each.put(frame)
        return self._note(FaultKind.GARBAGE, {**_concerned(chosen), "garbage": kind, "seed": seed}, lasts=False)

    def duplicate(self, connection: int | None = None) -> FaultRecord:
        """Send a connection (None: all) every message with ticks twice, until mended."""
        chosen = self._chosen(connection)
        for each in chosen:
            each.duplicating = True
        return self._note(FaultKind.DUPLICATE, _concerned(chosen))

    def reorder(self, connection: int | None = None) -> FaultRecord:
        """Send a connection (None: all) the next instant only after the one that follows it."""
        chosen = self._chosen(connection)
        for each in chosen:
            each.hold_next()
        return self._note(FaultKind.REORDER, _concerned(chosen))

    def slow(self, delay_s: float, connection: int | None = None) -> FaultRecord:
        """Send a connection (None: all) each message `delay_s` late, until mended."""
        chosen = self._chosen(connection)
        for each in chosen:
            each.delay_s = delay_s
        return self._note(FaultKind.SLOW, {**_concerned(chosen), "delay_s": delay_s})

    def change_instruments(self, index: str, *, strikes: int = 0, lot_size: int | None = None) -> FaultRecord:
        """List `strikes` more strikes above and below every expiry of an index, or give it another lot size.

        New strikes have not traded: they tick only when the tape has them. Clients see it in the next dump.
        """
        added = self._instruments.widen(index, strikes) if strikes else []
        if lot_size is not None:
            self._instruments.change_lot_size(index, lot_size)
        self._market.make_room()
        details = {"index": index, "lot_size": lot_size, "tokens": added}
        return self._note(FaultKind.INSTRUMENTS, details, lasts=False)

    def mend(self) -> None:
        """End everything that lasts."""
        self._ticker.mute(frozenset())
        for connection in list(self._ticker.connections):
            connection.delay_s = 0.0
            connection.duplicating = False
            connection.stop_holding()
            if connection.half_open:
                connection.abort()
        now, event_time = self._clock.now(), self._market.now
        self._records = [
            record if record.ended_at else replace(record, ended_at=now, ended_event_time=event_time)
            for record in self._records
        ]

    def _chosen(self, connection: int | None) -> list[TickerConnection]:
        """Return all connections that live, or one of them: any number is one, modulo how many there are."""
        alive = [each for each in self._ticker.connections if not each.half_open]
        return alive if connection is None or not alive else [alive[connection % len(alive)]]

    def _note(self, kind: FaultKind, details: Mapping[str, object], *, lasts: bool = True) -> FaultRecord:
        now, event_time = self._clock.now(), self._market.now
        end, end_event_time = (None, None) if lasts else (now, event_time)
        number = len(self._records) + 1
        record = FaultRecord(number, kind, now, event_time, end, end_event_time, details)
        self._records.append(record)
        return record


def _concerned(connections: Sequence[TickerConnection]) -> dict[str, object]:
    tokens = sorted(set().union(*(connection.tokens for connection in connections)))
    return {"connections": len(connections), "tokens": tokens}
