"""Where readers get chains: the newest from memory, older ones from the journal, in order and without gaps."""

from __future__ import annotations

from collections.abc import AsyncIterator

from optrading.collection.snapshot import Snapshot
from optrading.common.board import Board, StreamLimits, Update, check_age
from optrading.common.errors import FailedPrecondition, OutOfRange
from optrading.common.journal import Journal, Record
from optrading.common.selection import no_chain_yet
from optrading.common.worker import Worker
from optrading.market.chain import ORIGIN, Position

_JOURNAL_BATCH = 32
"""Snapshots read from the journal at a time: about a megabyte, a few milliseconds."""


class Outlet:
    """Follows the chains of an index from a position on."""

    def __init__(self, board: Board[Snapshot], journal: Journal, reader: Worker, limits: StreamLimits) -> None:
        """Read the newest from `board`, older ones from `journal`, which only the thread of `reader` may touch."""
        self._board = board
        self._journal = journal
        self._reader = reader
        self._limits = limits

    async def follow(self, index: str, after: Position | None, *, lossless: bool) -> AsyncIterator[Update[Snapshot]]:
        """Yield the chains of a known index in order.

        Args:
            index: Index symbol.
            after: Position to resume after: everything since is sent first. An epoch of 0 means the newest one. None
                begins with the newest chain, or with the oldest kept when lossless.
            lossless: Every chain, however slow the reader; otherwise a slow reader skips to the newest.

        Raises:
            OutOfRange: SEQUENCE_EVICTED when a chain after the position is no longer kept; SEQUENCE_AHEAD when the
                position has not been reached.
            FailedPrecondition: EPOCH_SUPERSEDED when the position is of an epoch that this collector never had.
            Unavailable: STREAM_AGE_REACHED, after the maximum age; NO_CHAIN_YET when a position is given before the
                first chain, which alone tells whether the position can be right.
        """
        newest = self._board.newest(index)
        seen = self._board.published(index)
        if after is not None:
            after = self._check(index, after, newest)
        if lossless:
            async for update in self._follow_all(index, after):
                yield update
            return
        position = ORIGIN
        if after is not None and newest is not None:
            async for snapshot in self._between(index, after, newest.position):
                yield Update(snapshot)
            position = newest.position
        async for update in self._board.follow_newest(index, self._limits, position, seen):
            yield update

    async def _follow_all(self, index: str, after: Position | None) -> AsyncIterator[Update[Snapshot]]:
        end = self._limits.end()
        position = after if after is not None else await self._reader.run(self._journal.trimmed, index)
        while True:
            found = await self._read_after(index, position)
            if found:
                for snapshot in found:
                    yield Update(snapshot)
                position = found[-1].position
            elif not await self._board.changed_after(index, position, self._limits.heartbeat_s):
                yield Update(None)
            check_age(end)

    async def _between(self, index: str, after: Position, last: Position) -> AsyncIterator[Snapshot]:
        while after < last and (found := await self._read_after(index, after)):
            for snapshot in found:
                if snapshot.position <= last:
                    yield snapshot
            after = found[-1].position

    async def _read_after(self, index: str, position: Position) -> list[Snapshot]:
        recent = self._board.recent_after(index, position)
        if recent is not None:
            return recent
        trimmed, records = await self._reader.run(self._read_journal, index, position)
        if position < trimmed:
            raise OutOfRange(
                f"{index}: chains after {position.epoch}/{position.sequence} are no longer kept here; read storage up"
                f" to {trimmed.epoch}/{trimmed.sequence}, then watch",
                reason="SEQUENCE_EVICTED",
                metadata={"trimmed_epoch": str(trimmed.epoch), "trimmed_sequence": str(trimmed.sequence)},
            )
        # What is durable but not yet announced comes with the next turn: nobody is ahead of the board.
        newest = self._board.newest(index)
        announced = newest.position if newest else ORIGIN
        return [Snapshot(record) for record in records if record.position <= announced]

    def _read_journal(self, index: str, position: Position) -> tuple[Position, list[Record]]:
        records = self._journal.read_after(index, position, _JOURNAL_BATCH)
        # Asked after reading: what a trim took away in between shows.
        return self._journal.trimmed(index), records

    def _check(self, index: str, after: Position, newest: Snapshot | None) -> Position:
        if newest is None:
            raise no_chain_yet(index)
        last = newest.position
        if after.epoch == 0:
            after = Position(last.epoch, after.sequence)
        if after.epoch > last.epoch:
            raise FailedPrecondition(
                f"{index}: epoch {after.epoch} is newer than this collector's {last.epoch}", reason="EPOCH_SUPERSEDED"
            )
        if after.epoch == last.epoch and after.sequence > last.sequence:
            raise OutOfRange(
                f"{index}: sequence {after.sequence} is not reached; the newest is {last.sequence}",
                reason="SEQUENCE_AHEAD",
            )
        return after
