"""From a chain of a feed to what is kept of it: shaped, inspected, serialized once, with the notice that tells it."""

from __future__ import annotations

from opentelemetry import trace

from optrading.collection.inspection import Inspector
from optrading.collection.shaping import Shaper
from optrading.common.chain_bytes import serialize_chain
from optrading.common.journal import Record
from optrading.common.outbox import Notice
from optrading.common.telemetry import current_traceparent
from optrading.market.chain import Chain, Position
from optrading.market.codec import from_micros, to_micros, to_timestamp
from optrading.market.v1 import event_pb2

tracer = trace.get_tracer(__name__)


class RecordMaker:
    """Makes records of one way in; remembers each index's window and day, so it wants its chains in order."""

    def __init__(self, shaper: Shaper, inspector: Inspector) -> None:
        """Shape and inspect by these."""
        self._shaper = shaper
        self._inspector = inspector

    def make(self, chain: Chain, position: Position, open_gaps: int = 0) -> tuple[Record, Notice]:
        """Return the record of `chain` at `position` and the notice `legs_collected`.

        Args:
            chain: As the feed gave it.
            position: Its place.
            open_gaps: Gaps of its index that are open.
        """
        with tracer.start_as_current_span("collect_chain", attributes={"index": chain.index}):
            shaped = self._inspector.inspect(self._shaper.shape(chain), open_gaps)
            counted = shaped.completeness
            record = Record(
                index=chain.index,
                position=position,
                event_time_us=to_micros(chain.event_time),
                receive_time_us=to_micros(chain.receive_time),
                leg_count=counted.known_leg_count if counted is not None else shaped.leg_count(),
                traceparent=current_traceparent(),
                payload=serialize_chain(shaped, position),
            )
        return record, _notice(record, shaped)


def _notice(record: Record, chain: Chain) -> Notice:
    epoch, sequence = record.position
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
                event_time=to_timestamp(from_micros(record.event_time_us)),
                count=record.leg_count,
                buckets=sorted({bucket for expiry in chain.expiries for bucket in expiry.buckets}),
            ),
        ),
        record.traceparent,
    )
