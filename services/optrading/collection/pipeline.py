"""The way in: feed, record, journal, announce. A chain is announced only after it is durable."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime

import structlog

from optrading.collection.feeds.base import Feed, FeedItem
from optrading.collection.gap_watch import GapWatch
from optrading.collection.gaps import GapLedger, session_refused
from optrading.collection.records import RecordMaker
from optrading.collection.resume import ResumePoints, newest_records
from optrading.collection.snapshot import Snapshot
from optrading.collection.terms import Terms, next_epoch
from optrading.common.board import Board
from optrading.common.clock import Clock
from optrading.common.database import transaction
from optrading.common.journal import Journal, Record
from optrading.common.outbox import Notice, Outbox
from optrading.common.worker import Worker
from optrading.market.chain import Chain
from optrading.market.codec import from_micros
from optrading.market.gaps import GapCause, Interruption

log = structlog.get_logger()

_QUEUE = 64
"""Items between feed and journal. A feed that is faster than the disk waits here."""

_WATCH_S = 1.0
"""How often it is looked whether a chain is overdue."""


class CollectionPipeline:
    """Takes every chain of a feed through the journal to the board, and what is missing to the gap ledger."""

    def __init__(
        self,
        feed: Feed,
        board: Board[Snapshot],
        journal: Journal,
        outbox: Outbox,
        gaps: GapLedger,
        writer: Worker,
        clock: Clock,
        maker: RecordMaker,
        watch: GapWatch,
        resume: ResumePoints,
        on_committed: Callable[[], None],
    ) -> None:
        """Wire the pipeline.

        Args:
            feed: Where chains come from.
            board: Where durable chains are shown.
            journal: Where they become durable; touched only by the thread of `writer`.
            outbox: Notices, on the journal's connection.
            gaps: What is missing, on the journal's connection.
            writer: The thread that writes.
            clock: For epochs and gaps.
            maker: Makes records of chains.
            watch: Notices what the feed does not say.
            resume: Where the feed goes on.
            on_committed: Called after each commit.
        """
        self._feed = feed
        self._board = board
        self._journal = journal
        self._outbox = outbox
        self._gaps = gaps
        self._writer = writer
        self._clock = clock
        self._maker = maker
        self._watch = watch
        self._resume = resume
        self._on_committed = on_committed
        self._queue: asyncio.Queue[FeedItem | None] = asyncio.Queue(_QUEUE)
        self._terms = Terms()
        self._last_epochs: dict[str, int] = {}
        self._owning = asyncio.Event()
        self.finished = False
        """Whether the feed has nothing more."""

    @property
    def epoch(self) -> int:
        """Return the greatest epoch of this process; 0 before its first term."""
        return self._terms.latest_epoch

    @property
    def source(self) -> str:
        """Return the name of the feed."""
        return self._feed.name

    @property
    def owned(self) -> Collection[str]:
        """Return the indices that are collected here now."""
        return self._terms.owned

    def epoch_of(self, index: str) -> int:
        """Return the epoch under which `index` is collected here; 0 when it is not."""
        return self._terms.epoch_of(index)

    def last_epoch_of(self, index: str) -> int:
        """Return the greatest epoch that `index` ever had here; 0 when none."""
        return max(self._last_epochs.get(index, 0), self._terms.epoch_of(index))

    def has_ended(self, index: str) -> bool:
        """Return whether nothing more comes of `index`: the feed has ended, or never had it.

        What an earlier feed left is still shown, and stored where it is not yet.
        """
        return self.finished or index not in self._feed.indices

    def clock_time(self, event_time: datetime) -> datetime:
        """Return the feed's present, given the newest event time: a recording has its own clock."""
        return self._clock.now() if self._watch.follows_clock else event_time

    async def load(self) -> None:
        """Show what the journal holds. Nothing is owned yet."""
        records = await self._writer.run(newest_records, self._journal)
        # Of an index that has nothing left, cursors tell; too great an epoch does no harm.
        least = await self._writer.run(self._journal.last_epoch)
        self._last_epochs = dict.fromkeys({*records, *self._feed.indices}, least)
        for index in sorted({*self._feed.indices, *records}):
            self._board.add_index(index)
            last = records.get(index)
            if last is not None:
                self._board.publish(index, Snapshot(last))

    async def own(self, indices: Collection[str], token: int = 0, previous: int = 0) -> None:
        """Begin a term of each of `indices` that is not owned.

        Args:
            indices: Of those that the feed brings.
            token: The epoch, such as a lease's; the clock gives one unless it is newer than what the journal knows.
            previous: Epoch of the term before, whoever's it was. What is missing since then is known when it was ours.
        """
        fresh = [each for each in indices if not self._terms.epoch_of(each)]
        await self._writer.run(self._begin, fresh, token, previous)
        self._feed.select(self._terms.owned)
        self._owning.set()

    async def disown(self, index: str) -> None:
        """End the term of `index` at once. What is in the journal stays, for storage to fetch."""
        await self._writer.run(self._end, index)
        self._feed.select(self._terms.owned)
        self._on_committed()

    def _begin(self, indices: Sequence[str], token: int, previous: int) -> None:
        now = self._clock.now()
        for index in indices:
            last = self.last_epoch_of(index)
            epoch = token if token > last else next_epoch(last, now)
            newest = self._board.newest(index)
            seen = None
            # After another collector's term our last chain says nothing of what was collected since.
            if newest is not None and (not token or previous == newest.position.epoch):
                seen = from_micros(newest.record.event_time_us)
            self._terms.begin(index, epoch)
            self._last_epochs[index] = epoch
            self._watch.begin(index, seen, now)
            log.info("epoch_taken", index=index, epoch=epoch, feed=self._feed.name)

    def _end(self, index: str) -> None:
        if self._terms.epoch_of(index):
            log.warning("epoch_ended", index=index, epoch=self._terms.epoch_of(index))
        self._terms.end(index)
        self._watch.end(index)
        with transaction(self._outbox.connection):
            self._outbox.add(self._gaps.close_all(index, self._clock.now()))

    async def run(self) -> None:
        """Collect until the feed ends; then return. Cancellation loses only what was not yet in the journal.

        Raises:
            FeedError: The feed cannot go on.
        """
        resume = await self._writer.run(self._resume.read, self._feed.indices)
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(self._watch_time(), name="gap watch")
            tasks.create_task(self._take(resume), name="feed")
            await tasks.create_task(self._commit_all(), name="journal")
            watching.cancel()
        self.finished = True
        log.info("feed_finished", feed=self._feed.name, collected={i: self._terms.count(i) for i in self._feed.indices})

    async def _take(self, resume: Mapping[str, datetime]) -> None:
        await self._owning.wait()  # what comes of an index that is not owned is not taken
        async for item in self._feed.chains(resume):
            await self._queue.put(item)
        await self._queue.put(None)

    async def _watch_time(self) -> None:
        while True:
            await self._clock.sleep(_WATCH_S)
            explained = [index for index in self._terms.owned if self._gaps.open_count(index, closed_too=True)]
            for news in self._watch.overdue(self._clock.now(), explained):
                await self._queue.put(news)

    async def _commit_all(self) -> None:
        ended = False
        while not ended:
            batch = [await self._queue.get()]
            while not self._queue.empty():
                batch.append(self._queue.get_nowait())
            ended = batch[-1] is None
            items = [item for item in batch if item is not None]
            if not items:
                continue
            for record in await self._writer.run(self._write, items):
                self._board.publish(record.index, Snapshot(record))
            self._on_committed()

    def _write(self, items: Sequence[FeedItem]) -> Sequence[Record]:
        # All of it here: shaping and encoding a queue full of large chains would hold up the event loop.
        records: list[Record] = []
        notices: list[Notice] = []
        with transaction(self._outbox.connection):
            for item in items:
                epoch = self._terms.epoch_of(item.index)
                if not epoch:
                    continue  # on its way when the index was lost: its owner has it too
                if isinstance(item, Interruption):
                    notices += self._note_gap(item, epoch)
                    continue
                notices += self._gaps.close_inherited(item.index, item.event_time, self._clock.now())
                for news in self._watch.on_chain(item, self._clock.now()):
                    notices += self._note_gap(news, epoch)
                record, notice = self._record(item)
                records.append(record)
                notices.append(notice)
                self._resume.note(record)
            self._journal.append(records)
            self._outbox.add(notices)
        return records

    def _record(self, chain: Chain) -> tuple[Record, Notice]:
        open_gaps = self._gaps.open_count(chain.index)
        return self._maker.make(chain, self._terms.next_position(chain.index), open_gaps)

    def _note_gap(self, news: Interruption, epoch: int) -> list[Notice]:
        state = "ended" if news.until else "began"
        log.warning("gap_" + state, index=news.index, cause=news.cause.name, since=news.since, detail=news.detail)
        notices = self._gaps.note(news, epoch, self._clock.now())
        if notices and news.until is None and news.cause is GapCause.SESSION_REFUSED:
            notices.append(session_refused(self._feed.name, news, self._clock.now()))
        return notices
