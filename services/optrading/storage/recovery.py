"""Storage as it was left, however the last process ended: damaged rows set aside, leftovers of a seal removed."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import structlog

from optrading.common.database import transaction
from optrading.common.errors import DataLoss
from optrading.common.journal import Journal, Record
from optrading.common.state import StateError
from optrading.market.chain import ORIGIN, Position
from optrading.market.codec import decode_chain, position_of, to_micros
from optrading.market.v1 import chain_pb2
from optrading.storage.history import Damage, History, IndexHistory, UnsealedChain, unsealed_chain
from optrading.storage.ledger import WATERMARK
from optrading.storage.stores.catalog import DAMAGED, Catalog
from optrading.storage.stores.parquet import CHAINS, TEMPORARY_SUFFIX, positions_of

log = structlog.get_logger()

UNLISTED = "unlisted"
"""Folder, below the state folder, for sealed files that the catalog does not know and the journal cannot replace."""

_BATCH = 256


class Recovery:
    """Reads what is kept, once, before anything is served. Synchronous, for the writer's thread."""

    def __init__(self, connection: sqlite3.Connection, journal: Journal, catalog: Catalog, directory: Path) -> None:
        """Read through `connection`, which journal and catalog share, and below `directory`."""
        self._connection = connection
        self._journal = journal
        self._catalog = catalog
        self._directory = directory

    def load(self, history: History) -> None:
        """Put everything that is kept into `history`; its newest chains may still be in sealed files.

        Raises:
            StateError: The database itself is damaged.
        """
        try:
            self._remove_leftovers()
            totals = self._catalog.totals()
            files = self._catalog.files()
            watermarks = self._journal.cursors(WATERMARK)
            # An index that was only imported has no live watermark.
            for index in sorted({*watermarks, *totals}):
                tail = self._load_tail(index)
                index_totals = totals.get(index)
                history.replace(
                    IndexHistory(
                        index=index,
                        watermark=watermarks.get(index, ORIGIN),
                        watermark_time_us=index_totals.last_event_time_us if index_totals else None,
                        files=tuple(file for file in files if file.index == index),
                        tail=tuple(tail),
                        newest=max(tail, key=lambda chain: chain.precedence, default=None),
                        totals=index_totals,
                        damaged=self._damaged(index),
                    )
                )
                log.info("index_loaded", index=index, files=len(history.of(index).files), tail_chains=len(tail))
        except sqlite3.DatabaseError as error:
            raise StateError(f"the journal in {self._directory} cannot be read: {error}") from error

    def _load_tail(self, index: str) -> list[UnsealedChain]:
        chains: list[UnsealedChain] = []
        position = ORIGIN
        while True:
            try:
                records = self._journal.read_after(index, position, _BATCH)
                chains += [_decode(record) for record in records]
            except DataLoss as damage:
                self._set_aside(index, Position(int(damage.metadata["epoch"]), int(damage.metadata["sequence"])))
                del chains[:]
                position = ORIGIN
                continue
            if not records:
                return chains
            position = records[-1].position

    def _set_aside(self, index: str, position: Position) -> None:
        with transaction(self._connection):
            self._catalog.set_aside_damaged(index, position)
            self._journal.remove(index, position, position)
        log.error("journal_row_damaged", index=index, position=position)

    def _damaged(self, index: str) -> tuple[Damage, ...]:
        return tuple(
            Damage(row.position, row.event_time_us)
            for row in self._catalog.list_set_aside(DAMAGED)
            if row.index == index and row.event_time_us is not None
        )

    def _remove_leftovers(self) -> None:
        """Remove what an interrupted seal left: the journal still holds those chains.

        A file of chains that the journal does not hold is no leftover (the catalog may be of another day): it is put
        aside, not removed.
        """
        listed = {file.path for file in self._catalog.files()}
        for path in sorted((self._directory / CHAINS).rglob("*")):
            name = path.relative_to(self._directory).as_posix()
            if not path.is_file() or name in listed:
                continue
            if path.name.endswith(TEMPORARY_SUFFIX) or self._in_journal(name):
                path.unlink()
                log.info("leftover_removed", file=name)
            else:
                aside = self._directory / UNLISTED / Path(name).relative_to(CHAINS)
                aside.parent.mkdir(parents=True, exist_ok=True)
                path.rename(aside)
                log.error("unlisted_file_set_aside", file=name, moved_to=str(aside))

    def _in_journal(self, name: str) -> bool:
        positions = positions_of(name)
        if positions is None:
            return False
        index, first, last = positions
        return all(self._journal.holds(index, position) for position in (first, last))


def _decode(record: Record) -> UnsealedChain:
    message = chain_pb2.ChainSnapshot.FromString(record.payload)
    chain = decode_chain(message)
    if position_of(message) != record.position or to_micros(chain.event_time) != record.event_time_us:
        # The checksum covers the payload only; a flip beside it shows here.
        raise DataLoss(
            f"the journal's row {record.index} {record.position} does not match its payload",
            reason="DAMAGED_JOURNAL",
            metadata={"epoch": str(record.position.epoch), "sequence": str(record.position.sequence)},
        )
    return unsealed_chain(record.position, chain)
