"""Timing and the rows of the table."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One comparison.

    Attributes:
        name: What was measured.
        per_second: How many of `unit` per second we reach.
        unit: Such as `legs`.
        peer: What it is compared with: another way of doing the same, or the limit of the machine.
        peer_per_second: How many of `unit` per second the peer reaches.
    """

    name: str
    per_second: float
    unit: str
    peer: str
    peer_per_second: float

    @property
    def ratio(self) -> float:
        """Return ours over the peer's: above 1 we are faster."""
        return self.per_second / self.peer_per_second


def compare(
    name: str, unit: str, work: int, ours: Callable[[], object], peer_name: str, peer: Callable[[], object]
) -> Row:
    """Time `ours` and `peer` in turns, so that a noisy minute hurts both, and keep the best of each.

    Args:
        name: What is measured.
        unit: What `work` counts.
        work: Units of work in one call of either.
        ours: Does the work our way.
        peer_name: What the peer is.
        peer: Does the same work the other way.
    """
    best_ours = best_peer = float("inf")
    for _ in range(7):
        best_ours = min(best_ours, _seconds(ours))
        best_peer = min(best_peer, _seconds(peer))
    return Row(name, work / best_ours, unit, peer_name, work / best_peer)


def _seconds(call: Callable[[], object]) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin
