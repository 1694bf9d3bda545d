"""Where storage gets what no stream of chains carries: the changes of the gap ledger, and the side lanes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from optrading.collection.gaps import Change, GapLedger
from optrading.collection.lane_store import Lane, LaneStore
from optrading.common.board import StreamLimits, check_age
from optrading.common.errors import NotFound, OutOfRange, Unavailable
from optrading.common.journal import Record
from optrading.common.worker import Worker
from optrading.market.chain import Position

_BATCH = 64
"""Rows read at a time: at most some megabytes, a few milliseconds."""


class LedgerOutlet:
    """Reads gap ledger and side lanes in a thread of its own."""

    def __init__(self, gaps: GapLedger, lanes: LaneStore, reader: Worker, limits: StreamLimits) -> None:
        """Read by the thread of `reader`, the only one that touches `gaps` and `lanes`."""
        self._gaps = gaps
        self._lanes = lanes
        self._reader = reader
        self._limits = limits
        self._changed = asyncio.Event()
        self._closed = False

    @property
    def ledger_id(self) -> str:
        """Return what identifies the gap ledger."""
        return self._gaps.ledger_id

    def wake(self) -> None:
        """Say that something was committed."""
        self._changed.set()
        self._changed = asyncio.Event()

    def close(self) -> None:
        """End every stream that has nothing to send."""
        self._closed = True
        self._changed.set()

    async def follow_gaps(self, ledger_id: str, after: int) -> AsyncIterator[Change | None]:
        """Yield the changes after `after`, each once and in order; None is a sign of life.

        Raises:
            OutOfRange: SEQUENCE_AHEAD: the position is of a ledger that is gone.
            Unavailable: STREAM_AGE_REACHED, after the maximum age; SHUTTING_DOWN.
        """
        last = await self._reader.run(self._gaps.last_change)
        if (ledger_id and ledger_id != self._gaps.ledger_id) or after > last:
            raise OutOfRange("this position is of a gap ledger that is gone; begin anew", reason="SEQUENCE_AHEAD")
        end = self._limits.end()
        loop = asyncio.get_running_loop()
        told_at = loop.time()
        while True:
            changed = self._changed
            found = await self._reader.run(self._gaps.changes_after, after, _BATCH)
            for change in found:
                yield change
                after, told_at = change.number, loop.time()
            if not found:
                if self._closed:
                    raise Unavailable("the service is shutting down", reason="SHUTTING_DOWN", retry_after_s=1.0)
                try:
                    # Not from now: every chain that is committed wakes this, too, and tells the reader nothing.
                    async with asyncio.timeout_at(told_at + self._limits.heartbeat_s):
                        await changed.wait()
                except TimeoutError:
                    yield None
                    told_at = loop.time()
            check_age(end)

    async def lanes(self, live_epochs: dict[str, int]) -> list[Lane]:
        """Return the side lanes, by index and epoch; see `LaneStore.lanes`."""
        return await self._reader.run(self._lanes.lanes, live_epochs)

    async def read_lane(self, index: str, after: Position) -> AsyncIterator[Record]:
        """Yield the chains of a side lane after a position that are here now.

        Raises:
            NotFound: UNKNOWN_LANE: nothing of this epoch is or was here.
            OutOfRange: SEQUENCE_EVICTED: the chain after the position is no longer kept.
            DataLoss: A row does not match its CRC.
        """
        begun = False
        while found := await self._reader.run(self._lanes.read, index, after, _BATCH):
            if found[0].position.sequence != after.sequence + 1:
                raise OutOfRange(
                    f"{index}: chains after {after.epoch}/{after.sequence} are no longer kept here",
                    reason="SEQUENCE_EVICTED",
                )
            for record in found:
                yield record
            after, begun = found[-1].position, True
        if not begun and not after.sequence:
            raise NotFound(f"{index} has no side lane {after.epoch} here", reason="UNKNOWN_LANE", field="epoch")
