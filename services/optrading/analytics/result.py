"""The analytics of one chain as they are handed out: computed once, serialized once per answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property

from google.protobuf.message import Message

from optrading.analytics.v1 import analytics_service_pb2 as pb
from optrading.common.wire import int_field
from optrading.market.chain import Position

_SKIPPED_COUNT = 3


class Result:
    """One chain's analytics and the answers made of them; what was made once is shared by every reader."""

    def __init__(self, message: pb.AnalyticsSnapshot) -> None:
        """Take the analytics; they are never changed."""
        self.message = message
        self._ready: dict[tuple[str, str | None], bytes] = {}

    @property
    def position(self) -> Position:
        """Return the position of the chain."""
        return Position(self.message.epoch, self.message.sequence)

    @cached_property
    def listed(self) -> Mapping[str, tuple[str, ...]]:
        """Return the buckets of each expiry."""
        return {expiry.expiry: tuple(expiry.buckets) for expiry in self.message.expiries}

    def get_greeks_response(self, expiry: str | None) -> bytes:
        """Return a serialized GetGreeksResponse with one expiry, or all."""
        return self._make("greeks", expiry, lambda: pb.GetGreeksResponse(analytics=self._cut(expiry)))

    def get_summary_response(self, expiry: str | None) -> bytes:
        """Return a serialized GetSummaryResponse with one expiry, or all."""
        return self._make("summary", expiry, lambda: self._summary(expiry))

    def watch_analytics_response(self, expiry: str | None, skipped: int) -> bytes:
        """Return a serialized WatchAnalyticsResponse with one expiry, or all."""
        # Both responses hold the analytics in field 1.
        return self.get_greeks_response(expiry) + int_field(_SKIPPED_COUNT, skipped)

    def _make(self, kind: str, expiry: str | None, make: Callable[[], Message]) -> bytes:
        ready = self._ready.get((kind, expiry))
        if ready is None:
            ready = self._ready[kind, expiry] = make().SerializeToString()
        return ready

    def _cut(self, expiry: str | None) -> pb.AnalyticsSnapshot:
        if expiry is None:
            return self.message
        cut = pb.AnalyticsSnapshot()
        cut.CopyFrom(self.message)
        del cut.expiries[:]
        cut.expiries.extend(each for each in self.message.expiries if each.expiry == expiry)
        return cut

    def _summary(self, expiry: str | None) -> pb.GetSummaryResponse:
        return pb.GetSummaryResponse(
            index=self.message.index,
            epoch=self.message.epoch,
            sequence=self.message.sequence,
            event_time=self.message.event_time,
            spot_inr=self.message.spot_inr,
            summary=self.message.summary,
            expiries=[each.summary for each in self.message.expiries if expiry in (None, each.expiry)],
            completeness=self.message.completeness if self.message.HasField("completeness") else None,
        )
