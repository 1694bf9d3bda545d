"""The gap ledger of one collector, followed without end."""

from __future__ import annotations

import asyncio
import sqlite3

import grpc
import structlog

from optrading.collection.v1 import collection_service_pb2 as pb
from optrading.collection.v1 import collection_service_pb2_grpc as pb_grpc
from optrading.common.clock import Clock
from optrading.common.database import transaction
from optrading.common.errors import reason_of
from optrading.common.worker import Worker
from optrading.storage.following import retry_waits
from optrading.storage.settings import StorageSettings
from optrading.storage.stores.gap_table import GapTable

log = structlog.get_logger()

_LEAST_SILENCE_S = 15.0  # shorter, and a collector that is only busy would be left


class GapFollower:
    """Takes every change of a ledger, each once."""

    def __init__(
        self,
        stub: pb_grpc.CollectionServiceAsyncStub,
        table: GapTable,
        connection: sqlite3.Connection,
        writer: Worker,
        clock: Clock,
        settings: StorageSettings,
    ) -> None:
        """Ask `stub`; write to `table` through `connection` in the thread of `writer`."""
        self._stub = stub
        self._table = table
        self._connection = connection
        self._writer = writer
        self._clock = clock
        self._silence_s = max(3 * settings.heartbeat_interval_s, _LEAST_SILENCE_S)
        self._ledger_id = ""
        self._change = 0

    async def run(self) -> None:
        """Follow until cancelled; the collector may come later, go and come back."""
        backoff = retry_waits(self._clock)
        while True:
            try:
                if await self._follow():
                    backoff.reset()
            except grpc.aio.AioRpcError as error:
                reason = reason_of(error)
                if reason == "STREAM_AGE_REACHED":
                    continue
                if reason == "SEQUENCE_AHEAD":
                    self._ledger_id, self._change = "", 0
                elif backoff.fresh:
                    log.warning("gap_watch_interrupted", status=error.code().name, details=error.details())
            except sqlite3.OperationalError as error:
                log.error("gap_not_stored", error=str(error))
            await backoff.wait()

    async def _follow(self) -> bool:
        """Read one stream to its end; return whether anything came."""
        request = pb.WatchGapsRequest(ledger_id=self._ledger_id, resume_after_change=self._change)
        call = self._stub.WatchGaps(request)
        heard = False
        try:
            while True:
                async with asyncio.timeout(self._silence_s):
                    response = await call.read()
                if not isinstance(response, pb.WatchGapsResponse):  # grpc.aio.EOF
                    return heard
                heard = True
                if response.change:
                    await self._writer.run(self._put, response)
                    self._ledger_id, self._change = response.ledger_id, response.change
        except TimeoutError:
            log.warning("gap_watch_silent")
            return heard
        finally:
            call.cancel()

    def _put(self, response: pb.WatchGapsResponse) -> None:
        with transaction(self._connection):
            self._table.put(response.ledger_id, response.change, response.gap)
