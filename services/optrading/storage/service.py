"""The storage service put together: what it keeps, what it pulls, what it serves, and in which order they begin."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass, replace

import structlog

from optrading.common.bus import EventBus
from optrading.common.clock import Clock
from optrading.common.collectors import Collector, find_collectors
from optrading.common.database import open_database
from optrading.common.errors import ServiceError
from optrading.common.journal import Journal
from optrading.common.outbox import Outbox
from optrading.common.serving import serve
from optrading.common.state import own_state
from optrading.common.worker import Worker
from optrading.storage.committing import Committer
from optrading.storage.gap_following import GapFollower
from optrading.storage.history import History
from optrading.storage.ingest import Ingest
from optrading.storage.lane_following import LaneFollower
from optrading.storage.ledger import Ledger
from optrading.storage.query import Reader
from optrading.storage.recovery import Recovery
from optrading.storage.rolling import Roller
from optrading.storage.servicer import StorageServicer
from optrading.storage.settings import StorageSettings
from optrading.storage.stores.catalog import Catalog
from optrading.storage.stores.gap_table import GapTable
from optrading.storage.v1.storage_service_pb2_grpc import add_StorageServiceServicer_to_server

log = structlog.get_logger()

JOURNAL = "journal.sqlite"
"""File of the journal and the catalog in the state folder."""


@dataclass(frozen=True, slots=True)
class RunningStorage:
    """A storage service that serves.

    Attributes:
        port: TCP port it listens on.
        history: What it shows.
        roller: Seals on demand, too.
        connection: To the journal's database; of the writer's thread.
    """

    port: int
    history: History
    roller: Roller
    connection: sqlite3.Connection


@asynccontextmanager
async def run_storage(settings: StorageSettings, clock: Clock) -> AsyncIterator[RunningStorage]:
    """Run storage while the block runs. It serves what it has, whether or not collection can be reached.

    At the end pulling stops first, then running calls get their time to finish. What was received and not committed
    was not acknowledged either: collection sends it again.

    Raises:
        StateError: The state folder or the journal cannot be used.
        AddressInUseError: The listen address is taken.
        CertificateError: A certificate cannot be read.
    """
    async with AsyncExitStack() as stack:
        directory = stack.enter_context(own_state(settings.state("storage")))
        connection = stack.enter_context(closing(open_database(directory / JOURNAL)))
        writer = await stack.enter_async_context(Worker("storage-writer"))
        sealer = await stack.enter_async_context(Worker("storage-sealer"))
        reader = await stack.enter_async_context(Reader(directory, settings))
        history = History()
        journal, catalog = Journal(connection), Catalog(connection)
        outbox = Outbox(connection, enabled=settings.redis_url is not None)
        await writer.run(Recovery(connection, journal, catalog, directory).load, history)
        await show_newest(history, reader, writer)

        ledger = Ledger(connection, journal, catalog, outbox, history, clock)
        bus = EventBus(settings.redis_url, outbox, writer)
        roller = Roller(history, ledger, writer, sealer, directory, settings)
        collectors = await stack.enter_async_context(find_collectors(settings, "storage"))
        gaps = GapTable(connection)

        def beside(collector: Collector) -> tuple[GapFollower, LaneFollower]:
            return (
                GapFollower(collector.stub, gaps, connection, writer, clock, settings),
                LaneFollower(collector.stub, ledger, history, writer, clock, settings),
            )

        ingest = Ingest(collectors, history, writer, clock, settings, beside)
        listeners = (ingest.committed, roller.committed, lambda _: bus.wake())
        committer = Committer(ledger, writer, clock, settings, listeners)

        servicer = StorageServicer(history, reader, gaps, writer)
        server = await stack.enter_async_context(
            serve(settings, "storage", lambda server: add_StorageServiceServicer_to_server(servicer, server))
        )
        async with asyncio.TaskGroup() as tasks:
            running = [
                tasks.create_task(ingest.run(committer), name="ingest"),
                tasks.create_task(committer.run(), name="committer"),
                tasks.create_task(roller.run(), name="roller"),
                tasks.create_task(bus.run(), name="bus"),
            ]
            await server.set_serving(True)
            try:
                yield RunningStorage(server.port, history, roller, connection)
            finally:
                for task in running:
                    task.cancel()


async def show_newest(history: History, reader: Reader, writer: Worker) -> None:
    """Have the newest chain of each index in memory, also where it lies in a sealed file.

    A damaged file leaves an index without it: whoever asks gets the error that names the file.
    """
    for index in history.known():
        loaded = history.of(index)
        try:
            newest = await reader.latest(replace(loaded, newest=None), None)
        except ServiceError as error:
            log.error("newest_chain_not_loaded", index=index, reason=error.reason, error=error.message)
            newest = None
        await writer.run(history.replace, replace(loaded, newest=newest))
