"""The event bus: notices in Redis Streams, one stream per event type.

Redis is transport, never the record: while it is gone notices wait in the outbox, and data flows and is stored.
An entry has the fields `event_id`, `event_type`, `event` (JSON of optrading.market.v1.Event) and `traceparent`.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

import structlog
from google.protobuf import json_format
from pydantic import SecretStr
from redis.asyncio import Redis
from redis.exceptions import RedisError
from redis.typing import EncodableT, FieldT

from optrading.common.database import transaction
from optrading.common.outbox import CAPACITY, Notice, Outbox
from optrading.common.worker import Worker

log = structlog.get_logger()

STREAM_PREFIX = "optrading:events:"
"""Stream of an event type: this and its name."""

STREAM_LENGTH = CAPACITY
"""About how many notices a stream keeps; consumers that are further behind read history from storage."""

_BATCH = 256
_SEND_S = 5.0
"""Within this a batch is sent and answered, or the connection is given up. TimeoutError is an OSError."""
_FIRST_RETRY_S = 0.1
_LONGEST_RETRY_S = 5.0


def stream_of(event_type: str) -> str:
    """Return the Redis stream that carries `event_type`."""
    return STREAM_PREFIX + event_type


class EventBus:
    """Sends what an outbox holds, in order, at least once."""

    def __init__(self, redis_url: SecretStr | None, outbox: Outbox, worker: Worker) -> None:
        """Send to the Redis at `redis_url`, if there is one; only the thread of `worker` may touch the outbox."""
        self._redis_url = redis_url
        self._outbox = outbox
        self._worker = worker
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Say that the outbox has something; call it after the commit."""
        self._wake.set()

    async def run(self) -> None:
        """Send until cancelled. A Redis that is away is tried again, ever less often, up to every five seconds.

        Without a Redis there is nothing to do, and it returns.
        """
        if self._redis_url is None:
            return
        retry_s = _FIRST_RETRY_S
        # Its own socket timeout would be asyncio.wait_for, which in Python 3.11 can lose a cancellation: the service
        # would not stop. `_send_pending` keeps the time instead.
        async with Redis.from_url(
            self._redis_url.get_secret_value(), socket_timeout=None, socket_connect_timeout=2
        ) as redis:
            while True:
                try:
                    await self._send_pending(redis)
                except (RedisError, OSError) as error:
                    log.warning("events_delayed", error=str(error), retry_s=retry_s)
                    await asyncio.sleep(retry_s * random.uniform(0.5, 1.0))
                    retry_s = min(2 * retry_s, _LONGEST_RETRY_S)
                    continue
                retry_s = _FIRST_RETRY_S
                await self._wake.wait()

    async def _send_pending(self, redis: Redis) -> None:
        self._wake.clear()
        while batch := await self._worker.run(self._read_batch):
            notices, entries = batch
            pipeline = redis.pipeline(transaction=False)
            for notice, entry in zip(notices, entries, strict=True):
                pipeline.xadd(stream_of(notice.event.event_type), entry, maxlen=STREAM_LENGTH, approximate=True)
            async with asyncio.timeout(_SEND_S):
                await pipeline.execute()
            await self._worker.run(self._forget, notices)

    def _read_batch(self) -> tuple[list[Notice], list[dict[FieldT, EncodableT]]] | None:
        # JSON is made here, not on the event loop: a batch of it takes longer than anybody else should wait.
        notices = self._outbox.pending(_BATCH)
        return (notices, [_entry(notice) for notice in notices]) if notices else None

    def _forget(self, notices: Sequence[Notice]) -> None:
        with transaction(self._outbox.connection):
            self._outbox.remove(notices)


def _entry(notice: Notice) -> dict[FieldT, EncodableT]:
    return {
        "event_id": notice.event.event_id,
        "event_type": notice.event.event_type,
        "event": json_format.MessageToJson(notice.event, preserving_proto_field_name=True, indent=None),
        "traceparent": notice.traceparent,
    }
