"""A chain as it is handed out: serialized once, kept as bytes, cut to one expiry on demand."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from optrading.common.journal import Record
from optrading.common.wire import int_field, message_field
from optrading.market.chain import Position
from optrading.market.v1 import chain_pb2

_CHAIN = 1
_SKIPPED_COUNT = 3
_TRACEPARENT = 4
_LANE_CHAIN = 1
_LANE_TRACEPARENT = 2


def read_lane_response(record: Record) -> bytes:
    """Return a serialized ReadLaneResponse."""
    traceparent = record.traceparent.encode()
    return message_field(_LANE_CHAIN, record.payload) + (
        message_field(_LANE_TRACEPARENT, traceparent) if traceparent else b""
    )


class Snapshot:
    """One durable chain and the answers made of it; what was made once is shared by every reader."""

    def __init__(self, record: Record) -> None:
        """Take the journal's record."""
        self.record = record
        self._cut: dict[str | None, bytes] = {None: record.payload}

    @property
    def position(self) -> Position:
        """Return its place among those of its index."""
        return self.record.position

    @cached_property
    def message(self) -> chain_pb2.ChainSnapshot:
        """Return the parsed chain; shared, so never to be changed."""
        return chain_pb2.ChainSnapshot.FromString(self.record.payload)

    @cached_property
    def listed(self) -> Mapping[str, tuple[str, ...]]:
        """Return the buckets of each expiry."""
        return {expiry.expiry: tuple(expiry.buckets) for expiry in self.message.expiries}

    def get_chain_response(self, expiry: str | None) -> bytes:
        """Return a serialized GetChainResponse with one expiry, or all."""
        return message_field(_CHAIN, self._payload(expiry))

    def watch_chains_response(self, expiry: str | None, skipped: int) -> bytes:
        """Return a serialized WatchChainsResponse with one expiry, or all."""
        traceparent = self.record.traceparent.encode()
        return b"".join(
            (
                message_field(_CHAIN, self._payload(expiry)),
                int_field(_SKIPPED_COUNT, skipped),
                message_field(_TRACEPARENT, traceparent) if traceparent else b"",
            )
        )

    def _payload(self, expiry: str | None) -> bytes:
        payload = self._cut.get(expiry)
        if payload is None:
            cut = chain_pb2.ChainSnapshot()
            cut.CopyFrom(self.message)
            wanted = [each for each in self.message.expiries if each.expiry == expiry]
            del cut.expiries[:]
            cut.expiries.extend(wanted)
            payload = self._cut[expiry] = cut.SerializeToString()
        return payload
