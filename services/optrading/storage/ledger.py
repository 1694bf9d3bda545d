"""Storage's durable state and the one place that writes it: journal, watermarks, catalog, notices.

What belongs together is one transaction: chains with their watermark, counts and notices; a sealed file with the
removal of its chains from the journal. What is shown to readers follows the commit. Synchronous, for one thread.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog
from opentelemetry import trace

from optrading.common.clock import Clock
from optrading.common.database import transaction
from optrading.common.journal import Journal, Record
from optrading.common.outbox import Notice, Outbox
from optrading.common.telemetry import context_of, current_traceparent
from optrading.market.acceptance import UnacceptableChainError, accept_chain
from optrading.market.chain import Position
from optrading.market.codec import position_of, to_micros, to_timestamp
from optrading.market.v1 import chain_pb2, event_pb2
from optrading.storage.history import History, UnsealedChain, unsealed_chain
from optrading.storage.stores.catalog import UNDECODABLE, Catalog, SealedFile, SetAside, Totals

log = structlog.get_logger()
tracer = trace.get_tracer(__name__)


class LedgerError(Exception):
    """The journal is not what this process knows of it; going on could lose chains."""


@dataclass(frozen=True, slots=True)
class Received:
    """A chain as it came, in its order.

    Attributes:
        index: The index that was watched.
        message: The chain.
        traceparent: W3C trace context of its collection; may be empty.
    """

    index: str
    message: chain_pb2.ChainSnapshot
    traceparent: str = ""

    @property
    def position(self) -> Position:
        """Its place."""
        return position_of(self.message)


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A chain that is ready to be written."""

    record: Record
    unsealed: UnsealedChain
    notice: Notice


WATERMARK = "stored/"
"""Begins the name of the cursor that says how far an index is durable; the index follows."""


class Ledger:
    """Writes chains and sealed files, and shows them."""

    def __init__(
        self, connection: sqlite3.Connection, journal: Journal, catalog: Catalog, outbox: Outbox, history: History,
        clock: Clock,
    ) -> None:  # fmt: skip
        """Write through `connection`, which journal, catalog and outbox share; show in `history`."""
        self._connection = connection
        self._journal = journal
        self._catalog = catalog
        self._outbox = outbox
        self._history = history
        self._clock = clock

    def store(self, batch: Sequence[Received]) -> dict[str, Position]:
        """Make `batch` durable in one transaction, then show it.

        Each chain must follow the one before it of its index, and the first the watermark. A chain that contradicts
        itself is set aside with its bytes: it is not served, and does not hold up those after it.

        Returns:
            The new watermark of each index in the batch.

        Raises:
            sqlite3.OperationalError: It could not be written, such as on a full disk; nothing is changed.
        """
        return self._store(batch, live=True)

    def store_lane(self, batch: Sequence[Received]) -> None:
        """Make chains of one side lane durable, as `store` does; the watermarks of live lanes stay where they are.

        What is here already is left out: a lane may be read twice.

        Raises:
            sqlite3.OperationalError: It could not be written; nothing is changed.
        """
        index, (epoch, _) = batch[0].index, batch[0].position
        stored = self.lane_watermark(index, epoch)
        if fresh := [each for each in batch if each.position.sequence > stored]:
            self._store(fresh, live=False)

    def lane_watermark(self, index: str, epoch: int) -> int:
        """Return the greatest sequence of an epoch of `index` that is durable here, live or not; 0 when none is."""
        (sequence,) = self._connection.execute(
            "SELECT max(coalesce((SELECT max(sequence) FROM snapshot WHERE index_name = ?1 AND epoch = ?2), 0),"
            " coalesce((SELECT max(last_sequence) FROM sealed_file WHERE index_name = ?1 AND epoch = ?2), 0),"
            " coalesce((SELECT max(sequence) FROM set_aside WHERE index_name = ?1 AND epoch = ?2), 0))",
            (index, epoch),
        ).fetchone()
        return int(sequence)

    def _store(self, batch: Sequence[Received], *, live: bool) -> dict[str, Position]:
        prepared: list[_Prepared] = []
        aside: list[SetAside] = []
        watermarks: dict[str, Position] = {}
        for received in batch:
            try:
                prepared.append(self._prepare(received))
            except UnacceptableChainError as error:
                aside.append(_aside(received, error))
            watermarks[received.index] = received.position
        totals = {index: _count(index, prepared) for index in watermarks}
        with transaction(self._connection):
            self._journal.append(each.record for each in prepared)
            self._catalog.set_aside(aside)
            for index, position in watermarks.items():
                if live:
                    self._journal.set_cursor(WATERMARK + index, position)
                more = totals[index]
                if more is not None:
                    self._catalog.add_totals(index, more, live=live)
            self._outbox.add(each.notice for each in prepared)
            all_totals = self._catalog.totals()
        for index, position in watermarks.items():
            chains = [each.unsealed for each in prepared if each.record.index == index]
            history = self._history.of(index)
            self._history.replace(history.with_chains(chains, position if live else None, all_totals.get(index)))
        for row in aside:
            log.error("chain_set_aside", index=row.index, position=row.position, detail=row.detail)
        return watermarks

    def commit_sealed(self, file: SealedFile) -> None:
        """List `file` and remove its chains from the journal in one transaction, then read them from there.

        Raises:
            LedgerError: The journal does not hold exactly the chains of the file.
            sqlite3.OperationalError: It could not be written; nothing is changed.
        """
        with transaction(self._connection):
            self._catalog.add_file(file)
            removed = self._journal.remove(file.index, file.first, file.last)
            if removed != file.chain_count:
                raise LedgerError(f"{file.path} holds {file.chain_count} chains, the journal {removed} of them")
        self._history.replace(self._history.of(file.index).with_sealed(file))

    def _prepare(self, received: Received) -> _Prepared:
        message = received.message
        with tracer.start_as_current_span("store_chain", context_of(received.traceparent)):
            chain = accept_chain(message, received.index)
            position = received.position
            record = Record(
                index=received.index,
                position=position,
                event_time_us=to_micros(chain.event_time),
                receive_time_us=to_micros(chain.receive_time),
                leg_count=chain.leg_count(),
                traceparent=received.traceparent,
                payload=message.SerializeToString(),
            )
            notice = _notice(record, message, self._clock.now(), current_traceparent())
            return _Prepared(record, unsealed_chain(position, chain), notice)


def _aside(received: Received, error: UnacceptableChainError) -> SetAside:
    return SetAside(
        index=received.index,
        position=received.position,
        reason=UNDECODABLE,
        detail=str(error),
        event_time_us=None,
        traceparent=received.traceparent,
        payload=received.message.SerializeToString(),
    )


def _count(index: str, prepared: Sequence[_Prepared]) -> Totals | None:
    records = [each.record for each in prepared if each.record.index == index]
    if not records:
        return None
    return Totals(
        chain_count=len(records),
        leg_count=sum(record.leg_count for record in records),
        first_event_time_us=min(record.event_time_us for record in records),
        last_event_time_us=records[-1].event_time_us,
    )


def _notice(record: Record, message: chain_pb2.ChainSnapshot, now: datetime, traceparent: str) -> Notice:
    epoch, sequence = record.position
    return Notice(
        event_pb2.Event(
            event_id=f"legs_stored/{record.index}/{epoch}/{sequence}",
            event_type="legs_stored",
            occurred_at=to_timestamp(now),
            service="storage",
            legs_stored=event_pb2.LegsStored(
                index=record.index,
                epoch=epoch,
                sequence=sequence,
                event_time=message.event_time,
                count=record.leg_count,
            ),
        ),
        traceparent,
    )
