"""History answered: DuckDB over the catalog's files and the tail, or memory where that is enough.

A read takes the history as it is when it begins, and so is not changed by a roll or by chains that come meanwhile.
Files are named one by one, never by pattern, and each is verified before its first use.
"""

from __future__ import annotations

import asyncio
import shutil
import threading
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from pathlib import Path
from types import TracebackType
from typing import Generic, Self, TypeVar

import duckdb
import pyarrow as pa

from optrading.common.errors import DataLoss, NotFound, ResourceExhausted
from optrading.market.chain import Chain, Position
from optrading.market.codec import from_micros, to_micros
from optrading.storage.history import IndexHistory, StoredChain, describe_time
from optrading.storage.planning import Segment, Span, latest_before, plan
from optrading.storage.selecting import Wanted, selection_query
from optrading.storage.settings import StorageSettings
from optrading.storage.stores.catalog import SealedFile
from optrading.storage.stores.columns import SCHEMA, chains_of
from optrading.storage.stores.parquet import Verifier

T = TypeVar("T")

_ROWS_PER_BATCH = 16_384  # some dozen chains, about 3 MB: a step of a read, and what it holds in memory
_ROWS_PER_QUERY = 262_144  # some 50 MB to sort; one file or one day that is larger is one query nevertheless
_FEW_CHUNKS = 64  # more than this, and joining the tail's chains first is cheaper than scanning them one by one


class Reader:
    """Reads histories; use as `async with`. Its threads are its own: neither the event loop nor the writer waits."""

    def __init__(self, directory: Path, settings: StorageSettings) -> None:
        """Read sealed files below `directory`, and keep temporary files of large sorts there."""
        self._verifier = Verifier(directory)
        self._most_reads = settings.open_reads
        self._open_reads = 0
        temporary = directory / "duckdb.tmp"
        # What a killed process was sorting is of no use to anybody.
        shutil.rmtree(temporary, ignore_errors=True)
        self._threads = ThreadPoolExecutor(settings.read_threads, thread_name_prefix="storage-reader")
        self._database = duckdb.connect(
            config={
                "memory_limit": f"{settings.duckdb_memory_limit_mb}MB",
                "threads": settings.duckdb_threads,
                "temp_directory": str(temporary),
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
                # A name in a query means a table, never a Python variable that happens to be called so.
                "python_enable_replacements": False,
            }
        )

    async def __aenter__(self) -> Self:
        """Begin."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish the steps that are running, then close."""
        await asyncio.to_thread(self._threads.shutdown)
        self._database.close()

    async def read(
        self, history: IndexHistory, wanted: Wanted, translate: Callable[[Position, Chain], T]
    ) -> AsyncGenerator[T, None]:
        """Yield the wanted chains in the order of event time, each through `translate` in a thread.

        Of several chains with one event time the one with the greatest position is shown. At most some thousand rows
        are ready at a time; a reader that stops reading holds no more than these and what its query sorts.

        Raises:
            DataLoss: DAMAGED_FILE or DAMAGED_JOURNAL, after the chains before the damage.
            ResourceExhausted: READ_TOO_LARGE: sorting it needs more than the memory limit and the disk give.
                TOO_MANY_READS: as many as there may be are open.
        """
        # What a read has ready waits for its reader, so their number is what bounds memory.
        if self._open_reads >= self._most_reads:
            raise ResourceExhausted(
                f"{self._open_reads} reads are open, which is the most; try again",
                reason="TOO_MANY_READS",
                retry_after_s=1.0,
            )
        self._open_reads += 1
        try:
            async with aclosing(self._answers(history, wanted, translate)) as answers:
                async for answer in answers:
                    yield answer
        finally:
            self._open_reads -= 1

    async def _answers(
        self, history: IndexHistory, wanted: Wanted, translate: Callable[[Position, Chain], T]
    ) -> AsyncGenerator[T, None]:
        steps = _Steps(self._threads, self._read(history, wanted, translate))
        try:
            while (ready := await steps.next()) is not None:
                for each in ready:
                    yield each
        finally:
            await steps.close()

    async def latest(self, history: IndexHistory, before_us: int | None) -> StoredChain:
        """Return the chain with the greatest event time before `before_us`; None asks for the newest of all.

        Raises:
            NotFound: NO_CHAIN_AT_TIME.
            DataLoss: DAMAGED_FILE or DAMAGED_JOURNAL, when that chain cannot be had.
        """
        newest = history.newest
        if newest is not None and (before_us is None or newest.event_time_us < before_us):
            asked_for = [row for row in history.damaged if before_us is None or row.event_time_us < before_us]
            if all((row.event_time_us, row.position) < newest.precedence for row in asked_for):
                return newest
        end_us = before_us if before_us is not None else _after_everything(history)
        instant_us, files = latest_before(history, end_us)
        if instant_us is not None and files:
            loop = asyncio.get_running_loop()
            later_us = await loop.run_in_executor(self._threads, self._latest_in, files, end_us)
            instant_us = max(instant_us, later_us if later_us is not None else instant_us)
        if instant_us is None:
            raise _no_chain(history, before_us)
        wanted = Wanted(Span(instant_us, instant_us + 1))
        found = [chain async for chain in self._answers(history, wanted, _stored)]
        if not found:
            raise _no_chain(history, before_us)
        return found[-1]

    def _latest_in(self, files: Sequence[SealedFile], end_us: int) -> int | None:
        paths = [str(self._verifier.verify(file)) for file in files]
        with self._database.cursor() as cursor:
            row = cursor.execute(
                "SELECT epoch_us(max(event_time)) FROM read_parquet($files) WHERE event_time < $end_time",
                {"files": paths, "end_time": from_micros(end_us)},
            ).fetchone()
        return row[0] if row else None

    def _read(
        self, history: IndexHistory, wanted: Wanted, translate: Callable[[Position, Chain], T]
    ) -> Generator[list[T], None, None]:
        """Answer segment by segment; small ones together, since every query costs some milliseconds."""
        together = Segment()
        for segment in plan(history, wanted.span):
            try:
                self._check(history.index, segment)
            except DataLoss:
                # What lies before the damage is good.
                yield from self._answer(history.index, together, wanted, translate)
                raise
            if together.row_count + segment.row_count > _ROWS_PER_QUERY:
                yield from self._answer(history.index, together, wanted, translate)
                together = segment
            else:
                together = together.joined(segment)
        yield from self._answer(history.index, together, wanted, translate)

    def _check(self, index: str, segment: Segment) -> None:
        for row in segment.damaged:
            instant = describe_time(row.event_time_us)
            raise DataLoss(
                f"{index}: the chain of {instant} was damaged in the journal; it is not served",
                reason="DAMAGED_JOURNAL",
                metadata={"index": index, "epoch": str(row.position.epoch), "sequence": str(row.position.sequence)},
            )
        for file in segment.files:
            self._verifier.verify(file)

    def _answer(
        self, index: str, segment: Segment, wanted: Wanted, translate: Callable[[Position, Chain], T]
    ) -> Generator[list[T], None, None]:
        paths = [str(self._verifier.verify(file)) for file in segment.files]
        if not paths and not segment.tail:
            return
        try:
            # A cursor of its own: DuckDB 2.0 allows nothing else on a connection whose result is not read to its end.
            with self._database.cursor() as cursor:
                if segment.tail:
                    cursor.register("tail", _table([chain.rows for chain in segment.tail]))
                query, parameters = selection_query(paths, bool(segment.tail), wanted)
                rows = cursor.sql(query, params=parameters).to_arrow_reader(_ROWS_PER_BATCH)
                for chains in chains_of(index, rows):
                    yield [translate(position, chain) for position, chain in chains]
        except duckdb.OutOfMemoryException as error:
            raise ResourceExhausted(
                "this read needs more memory than storage may use; ask for a shorter range",
                reason="READ_TOO_LARGE",
                retry_after_s=5.0,
            ) from error


class _Steps(Generic[T]):
    """A generator that is advanced in threads, one step at a time, and closed whatever happened."""

    def __init__(self, threads: ThreadPoolExecutor, generator: Generator[list[T], None, None]) -> None:
        self._threads = threads
        self._generator = generator
        # A cancelled reader closes while its last step may still run.
        self._lock = threading.Lock()

    async def next(self) -> list[T] | None:
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._advance)

    async def close(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._threads, self._close)

    def _advance(self) -> list[T] | None:
        with self._lock:
            return next(self._generator, None)

    def _close(self) -> None:
        with self._lock:
            self._generator.close()


def _table(batches: Sequence[pa.RecordBatch]) -> pa.Table:
    table = pa.Table.from_batches(batches, schema=SCHEMA)
    return table.combine_chunks() if len(batches) > _FEW_CHUNKS else table


def _stored(position: Position, chain: Chain) -> StoredChain:
    return StoredChain(position, chain, to_micros(chain.event_time))


def _after_everything(history: IndexHistory) -> int:
    times = [file.max_event_time_us for file in history.files]
    times += [chain.event_time_us for chain in history.tail]
    times += [row.event_time_us for row in history.damaged]
    return max(times, default=0) + 1


def _no_chain(history: IndexHistory, before_us: int | None) -> NotFound:
    if before_us is None or history.totals is None:
        message = f"{history.index} has no chain stored yet"
    else:
        first = describe_time(history.totals.first_event_time_us)
        message = f"{history.index} has no chain at or before {describe_time(before_us - 1)}; the first is of {first}"
    return NotFound(message, reason="NO_CHAIN_AT_TIME", field="as_of" if before_us is not None else "")
