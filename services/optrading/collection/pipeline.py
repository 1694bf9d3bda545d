"""The way in: feed, shape, journal, announce. A chain is announced only after it is durable."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import structlog
from opentelemetry import trace

from optrading.collection.feeds.base import Feed
from optrading.collection.settings import FeedName
from optrading.collection.shaping import shape_chain
from optrading.collection.snapshot import Snapshot
from optrading.common.board import Board
from optrading.common.clock import Clock
from optrading.common.database import transaction
from optrading.common.errors import DataLoss
from optrading.common.journal import Journal, Record
from optrading.common.outbox import Notice, Outbox
from optrading.common.telemetry import current_traceparent
from optrading.common.worker import Worker
from optrading.market.chain import Chain, Position
from optrading.market.codec import encode_chain, from_micros, to_micros, to_timestamp
from optrading.market.v1 import event_pb2

log = structlog.get_logger()
tracer = trace.get_tracer(__name__)

_QUEUE = 64
"""Chains between feed and journal. A feed that is faster than the disk waits here."""


def next_epoch(last: int, now: datetime) -> int:
    """Return the epoch of a collector that starts: greater than any before, also after its state was lost."""
    return max(last + 1, to_micros(now) // 1000)


class CollectionPipeline:
    """Takes every chain of a feed through the journal to the board."""

    def __init__(
        self,
        feed: Feed,
        board: Board[Snapshot],
        journal: Journal,
        outbox: Outbox,
        writer: Worker,
        clock: Clock,
        offsets: frozenset[int] | None,
        run_name: str,
        on_committed: Callable[[], None],
    ) -> None:
        """Wire the pipeline.

        Args:
            feed: Where chains come from.
            board: Where durable chains are shown.
            journal: Where they become durable; touched only by the thread of `writer`.
            outbox: Notices, on the journal's connection.
            writer: The thread that writes.
            clock: For the epoch.
            offsets: Strike offsets to keep; None keeps all.
            run_name: Together with the feed's identity, what a resume position belongs to.
            on_committed: Called after each commit that holds notices.
        """
        self._feed = feed
        self._board = board
        self._journal = journal
        self._outbox = outbox
        self._writer = writer
        self._clock = clock
        self._offsets = offsets
        self._run_name = run_name
        self._on_committed = on_committed
        self._queue: asyncio.Queue[Chain | None] = asyncio.Queue(_QUEUE)
        self._sequences: dict[str, int] = {}
        self._epoch = 0
        self.finished = False
        """Whether the feed has nothing more."""

    @property
    def epoch(self) -> int:
        """Return this collector's term; 0 before `load`."""
        return self._epoch

    @property
    def source(self) -> str:
        """Return the name of the feed that chains come from."""
        return self._feed.name

    def has_ended(self, index: str) -> bool:
        """Return whether nothing more comes of `index`: the feed has ended, or never had it.

        What an earlier feed left in the journal is still shown, and stored where it is not yet.
        """
        return self.finished or index not in self._feed.indices

    def clock_time(self, event_time: datetime) -> datetime:
        """Return the feed's present, given the newest event time: a recording has its own clock."""
        return event_time if self._feed.name == FeedName.REPLAY else self._clock.now()

    async def load(self) -> None:
        """Show what the journal holds, and take a new epoch."""
        records, last_epoch = await self._writer.run(self._load)
        for index in sorted({*self._feed.indices, *records}):
            self._board.add_index(index)
            last = records.get(index)
            if last is not None:
                self._board.publish(index, Snapshot(last))
        self._epoch = next_epoch(last_epoch, self._clock.now())
        log.info("epoch_taken", epoch=self._epoch, feed=self._feed.name)

    def _load(self) -> tuple[Mapping[str, Record | None], int]:
        return {index: self._last(index) for index in self._journal.indices()}, self._journal.last_epoch()

    def _last(self, index: str) -> Record | None:
        try:
            return self._journal.last(index)
        except DataLoss as error:
            # What is to come can still be collected; whoever reads the damaged record is told.
            log.error("journal_damaged", index=index, error=error.message)
            return None

    async def run(self) -> None:
        """Collect until the feed ends; then return. Cancellation loses only what was not yet in the journal.

        Raises:
            FeedError: The feed cannot go on.
        """
        resume = await self._writer.run(self._resume_points)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._take(resume), name="feed")
            tasks.create_task(self._commit_all(), name="journal")
        self.finished = True
        log.info("feed_finished", feed=self._feed.name, collected=self._sequences)

    def _resume_points(self) -> Mapping[str, datetime]:
        noted = {index: self._journal.note(self._note_name(index)) for index in self._feed.indices}
        return {index: from_micros(int(text)) for index, text in noted.items() if text}

    async def _take(self, resume: Mapping[str, datetime]) -> None:
        async for item in self._feed.chains(resume):
            if isinstance(item, Chain):
                await self._queue.put(item)
            else:
                log.warning("feed_interrupted", index=item.index, cause=item.cause.name, detail=item.detail)
        await self._queue.put(None)

    async def _commit_all(self) -> None:
        ended = False
        while not ended:
            batch = [await self._queue.get()]
            while not self._queue.empty():
                batch.append(self._queue.get_nowait())
            ended = batch[-1] is None
            chains = [chain for chain in batch if chain is not None]
            if not chains:
                continue
            for record in await self._writer.run(self._write, chains):
                self._board.publish(record.index, Snapshot(record))
                log.debug("chain_published", index=record.index, sequence=record.position.sequence)
            self._on_committed()

    def _write(self, chains: Sequence[Chain]) -> Sequence[Record]:
        # All of it here: shaping and encoding a queue full of large chains would hold up the event loop.
        records = [self._record(chain) for chain in chains]
        self._commit(records)
        return records

    def _record(self, chain: Chain) -> Record:
        with tracer.start_as_current_span("collect_chain", attributes={"index": chain.index}):
            shaped = shape_chain(chain, self._offsets)
            sequence = self._sequences[chain.index] = self._sequences.get(chain.index, 0) + 1
            position = Position(self._epoch, sequence)
            return Record(
                index=chain.index,
                position=position,
                event_time_us=to_micros(chain.event_time),
                receive_time_us=to_micros(chain.receive_time),
                leg_count=shaped.leg_count(),
                traceparent=current_traceparent(),
                payload=encode_chain(shaped, position).SerializeToString(),
            )

    def _commit(self, records: Sequence[Record]) -> None:
        with transaction(self._outbox.connection):
            self._journal.append(records)
            for record in records:
                self._journal.set_note(self._note_name(record.index), str(record.event_time_us))
            self._outbox.add(_notice(record) for record in records)

    def _note_name(self, index: str) -> str:
        return f"collected/{self._feed.identity}/{self._run_name}/{index}"


def _notice(record: Record) -> Notice:
    epoch, sequence = record.position
    event_time = to_timestamp(from_micros(record.event_time_us))
    buckets = sorted({b for e in Snapshot(record).message.expiries for b in e.buckets})
    return Notice(
        event_pb2.Event(
            event_id=f"legs_collected/{record.index}/{epoch}/{sequence}",
            event_type="legs_collected",
            occurred_at=to_timestamp(from_micros(record.receive_time_us)),
            service="collection",
            legs_collected=event_pb2.LegsCollected(
                index=record.index,
                epoch=epoch,
                sequence=sequence,
                event_time=event_time,
                count=record.leg_count,
                buckets=buckets,
            ),
        ),
        record.traceparent,
    )
