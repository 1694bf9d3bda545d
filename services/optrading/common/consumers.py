"""Consumer groups on the event bus: every notice handled at least once by one of the group, whoever of it dies.

A notice is acknowledged after its handler has returned. What a dead consumer left is taken over by the others; what
fails again and again, or cannot be read, goes to the dead-letter stream, where people look at it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import structlog
from google.protobuf import json_format
from opentelemetry import trace
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from optrading.common.backoff import Backoff
from optrading.common.bus import stream_of
from optrading.common.clock import Clock
from optrading.common.dead_letters import DeadLetter, bury
from optrading.common.redis_client import UNREACHABLE, bounded
from optrading.common.telemetry import TRACEPARENT, context_of
from optrading.market.v1 import event_pb2

log = structlog.get_logger()
tracer = trace.get_tracer(__name__)

Handler = Callable[[event_pb2.Event], Awaitable[None]]
"""Takes one notice; may be called more than once with the same `event_id`, and says so by raising when it fails."""

_BATCH = 64
_BLOCK_S = 1.0
_FIRST_RETRY_S = 0.1
_LONGEST_RETRY_S = 5.0

Entry = tuple[str, dict[str, str]]


class EventConsumer:
    """One member of a consumer group."""

    def __init__(
        self,
        redis: Redis,
        event_types: Sequence[str],
        group: str,
        consumer: str,
        handler: Handler,
        clock: Clock,
        *,
        reclaim_after_s: float = 30.0,
        most_deliveries: int = 5,
    ) -> None:
        """Read `event_types` as `consumer` of `group`.

        Args:
            redis: A client that answers texts.
            event_types: Such as `legs_stored`.
            group: Shares the notices among its members; each group gets every notice. A new one begins with the
                oldest notice that is kept.
            consumer: Unique in the group; after a restart the same name goes on with what it had not finished.
            handler: Takes each notice.
            clock: Waits between tries while Redis is away.
            reclaim_after_s: A notice that was given to somebody so long ago, and is not done, is given to us.
            most_deliveries: A notice that was given so often and is still not done is a dead letter.
        """
        self._redis = redis
        self._streams = [stream_of(event_type) for event_type in event_types]
        self._group = group
        self._consumer = consumer
        self._handler = handler
        self._reclaim_after_ms = round(reclaim_after_s * 1000)
        self._most_deliveries = most_deliveries
        self._backoff = Backoff(clock, _FIRST_RETRY_S, _LONGEST_RETRY_S)

    async def run(self) -> None:
        """Consume until cancelled; a Redis that is away, or has forgotten the group, is come back to."""
        ready = False
        while True:
            try:
                if not ready:
                    await self._make_groups()
                    ready = True
                await self._reclaim()
                await self._read()
            except UNREACHABLE as error:
                if isinstance(error, ResponseError):
                    ready = False  # NOGROUP: the stream is gone, and its group with it
                if self._backoff.fresh:
                    log.warning("events_not_read", group=self._group, error=str(error))
                await self._backoff.wait()
            else:
                self._backoff.reset()

    async def _make_groups(self) -> None:
        for stream in self._streams:
            try:
                await bounded(self._redis.xgroup_create(stream, self._group, id="0", mkstream=True))
            except ResponseError as error:
                if "BUSYGROUP" not in str(error):
                    raise

    async def _read(self) -> None:
        call = self._redis.xreadgroup(
            self._group,
            self._consumer,
            dict.fromkeys(self._streams, ">"),
            count=_BATCH,
            block=round(_BLOCK_S * 1000),
        )
        found: Any = await bounded(call, _BLOCK_S + 5.0)
        for stream, entries in found or ():
            for entry in entries:
                await self._take(stream, entry)

    async def _reclaim(self) -> None:
        """Take over what nobody has finished for long; bury what was tried too often."""
        for stream in self._streams:
            answer: Any = await bounded(
                self._redis.xautoclaim(stream, self._group, self._consumer, self._reclaim_after_ms, count=_BATCH)
            )
            for entry in answer[1]:
                if entry[1] is None:
                    continue  # trimmed away meanwhile: Redis has forgotten it by itself
                deliveries = await self._deliveries(stream, entry[0])
                if deliveries > self._most_deliveries:
                    await self._bury(stream, entry, f"given {deliveries - 1} times and never done", deliveries - 1)
                else:
                    await self._take(stream, entry)

    async def _deliveries(self, stream: str, entry_id: str) -> int:
        pending: Any = await bounded(self._redis.xpending_range(stream, self._group, entry_id, entry_id, 1))
        return int(pending[0]["times_delivered"]) if pending else 0

    async def _take(self, stream: str, entry: Entry) -> None:
        entry_id, fields = entry
        try:
            event = json_format.Parse(fields["event"], event_pb2.Event(), ignore_unknown_fields=True)
        except (KeyError, json_format.ParseError) as error:
            await self._bury(stream, entry, f"it cannot be read ({type(error).__name__}: {error})", 1)
            return
        with tracer.start_as_current_span("consume_event", context_of(fields.get(TRACEPARENT, ""))):
            try:
                await self._handler(event)
            except asyncio.CancelledError:
                raise
            except Exception as error:  # whatever a handler raises, the others go on
                # Not acknowledged: it comes again, to whoever of the group is free by then.
                log.warning("event_not_handled", event_id=event.event_id, group=self._group, error=str(error))
                return
        await bounded(self._redis.xack(stream, self._group, entry_id))

    async def _bury(self, stream: str, entry: Entry, reason: str, deliveries: int) -> None:
        letter = DeadLetter("", stream, entry[0], self._group, reason, deliveries, entry[1])
        await bury(self._redis, letter)
        log.error("event_buried", stream=stream, entry=entry[0], group=self._group, reason=reason)
