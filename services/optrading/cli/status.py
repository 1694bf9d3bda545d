"""What the platform is doing, index by index, put together from three services."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass

import grpc

from optrading.analytics.v1 import analytics_service_pb2 as analytics_pb
from optrading.cli.client import CallError, GatewayClient
from optrading.collection.v1 import collection_service_pb2 as collection_pb
from optrading.market.codec import from_timestamp
from optrading.storage.v1 import storage_service_pb2 as storage_pb


@dataclass(frozen=True, slots=True)
class IndexStatus:
    """One index at one moment.

    Attributes:
        listing: What collection says.
        watermark: How far storage is; None when it has nothing of the index.
        summary: What analytics says of the newest chain; None before there is one.
    """

    listing: collection_pb.IndexListing
    watermark: storage_pb.Watermark | None
    summary: analytics_pb.GetSummaryResponse | None

    @property
    def stored_sequence(self) -> int:
        """Return the last stored sequence of the newest epoch; 0 while storage has none of it."""
        mark = self.watermark
        return mark.sequence if mark is not None and mark.epoch == self.listing.latest_epoch else 0

    @property
    def is_stored(self) -> bool:
        """Return whether storage has every chain that was collected."""
        return self.listing.latest_sequence > 0 and self.stored_sequence == self.listing.latest_sequence

    @property
    def is_computed(self) -> bool:
        """Return whether analytics has the newest chain."""
        listing, summary = self.listing, self.summary
        newest = (listing.latest_epoch, listing.latest_sequence)
        return summary is not None and (summary.epoch, summary.sequence) == newest

    @property
    def age_s(self) -> float:
        """Return the age of the newest chain by the feed's own clock, seconds; NaN before the first."""
        if not self.listing.HasField("clock_time"):
            return math.nan
        age = from_timestamp(self.listing.clock_time) - from_timestamp(self.listing.event_time)
        return max(age.total_seconds(), 0.0)

    @property
    def front(self) -> analytics_pb.ExpirySummary | None:
        """Return the nearest expiry that has not expired; the last one when all have."""
        if self.summary is None or not self.summary.expiries:
            return None
        return next((each for each in self.summary.expiries if each.years > 0), self.summary.expiries[-1])


async def read_status(client: GatewayClient) -> list[IndexStatus]:
    """Return every index, ascending by name.

    Raises:
        CallError: A service does not answer.
    """
    listings, watermarks = await asyncio.gather(
        client.call(client.collection.ListIndices, collection_pb.ListIndicesRequest()),
        client.call(client.storage.ListWatermarks, storage_pb.ListWatermarksRequest()),
    )
    stored = {mark.index: mark for mark in watermarks.watermarks}
    summaries = await asyncio.gather(*(_summary(client, listing.index) for listing in listings.indices))
    return [
        IndexStatus(listing, stored.get(listing.index), summary)
        for listing, summary in zip(listings.indices, summaries, strict=True)
    ]


def replay_end(statuses: Sequence[IndexStatus]) -> str:
    """Return one line once a feed has ended and all of it is stored and computed; empty until then."""
    # Of a recording that was played before, the last chains are still shown; they are not of this one.
    term = max((each.listing.latest_epoch for each in statuses), default=0)
    statuses = [each for each in statuses if each.listing.latest_epoch in (0, term)]
    if not statuses or not all(each.listing.finished and each.is_stored and each.is_computed for each in statuses):
        return ""
    collected = sum(each.listing.latest_sequence for each in statuses)
    stored = sum(each.stored_sequence for each in statuses)
    legs = sum(each.watermark.leg_count for each in statuses if each.watermark is not None)
    names = ", ".join(each.listing.index for each in statuses)
    return (
        f"replay finished: {stored} chains of {collected} collected and stored ({names}); storage holds {legs:,} legs"
    )


async def _summary(client: GatewayClient, index: str) -> analytics_pb.GetSummaryResponse | None:
    try:
        return await client.call(client.analytics.GetSummary, analytics_pb.GetSummaryRequest(index=index))
    except CallError as error:
        if error.code is grpc.StatusCode.NOT_FOUND or error.reason == "NO_CHAIN_YET":
            return None
        raise
