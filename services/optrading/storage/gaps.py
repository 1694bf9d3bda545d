"""Which part of a time lies in no gap: intervals, merged and measured. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable

from optrading.market.codec import from_timestamp, to_micros
from optrading.market.v1 import gap_pb2

Interval = tuple[int, int]
"""From the first to before the second, microseconds since 1970 UTC."""


def completeness(gaps: Iterable[gap_pb2.Gap], start_us: int, end_us: int) -> float:
    """Return the part of the open market's time in [start_us, end_us) that lies in no gap of the whole index.

    Gaps of single legs count in the chains themselves. NaN when the market was closed all the time, or there is none.
    """
    closed: list[Interval] = []
    missing: list[Interval] = []
    for gap in gaps:
        if gap.leg_count:
            continue
        begin = max(to_micros(from_timestamp(gap.start_time)), start_us)
        end = min(to_micros(from_timestamp(gap.end_time)) if gap.HasField("end_time") else end_us, end_us)
        if begin < end:
            (closed if gap.cause == gap_pb2.GAP_CAUSE_MARKET_CLOSED else missing).append((begin, end))
    closed_us = _length(closed)
    open_us = max(end_us - start_us, 0) - closed_us
    if open_us <= 0:
        return math.nan
    return 1 - (_length(closed + missing) - closed_us) / open_us


def _length(intervals: Iterable[Interval]) -> int:
    """Return how much is covered by any of them, microseconds."""
    total, reached = 0, -math.inf
    for begin, end in sorted(intervals):
        total += int(max(end - max(begin, reached), 0))
        reached = max(reached, end)
    return total
