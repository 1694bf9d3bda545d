"""Which chain may be stored next: none twice, none left out, none of an owner that was superseded."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Generic, TypeVar

from optrading.market.chain import ORIGIN, Position

T = TypeVar("T")


class Verdict(StrEnum):
    """What a received position means after those accepted before."""

    NEXT = "next"
    """Follows without a hole."""
    REPEATED = "repeated"
    """Accepted before; acknowledged again, never stored again."""
    AHEAD = "ahead"
    """Something before it has not arrived."""
    STALE = "stale"
    """Of an older epoch than one seen: its collector has lost the index."""


def judge(position: Position, accepted: Position, announced: Position) -> Verdict:
    """Say what `position` means.

    Args:
        position: Of the chain received; both parts > 0.
        accepted: The last position accepted; ORIGIN when there is none.
        announced: The greatest position of the accepted epoch that is known to exist.
    """
    if position.epoch < accepted.epoch:
        return Verdict.STALE
    if position <= accepted:
        return Verdict.REPEATED
    if position.epoch == accepted.epoch:
        return Verdict.NEXT if position.sequence == accepted.sequence + 1 else Verdict.AHEAD
    # A new epoch may begin only when nothing of the old one is known to be missing.
    return Verdict.NEXT if position.sequence == 1 and announced <= accepted else Verdict.AHEAD


class Sequencer(Generic[T]):
    """Puts the chains of one index in order; holds a bounded number that came too early. Pure, for one task."""

    def __init__(self, accepted: Position, capacity: int) -> None:
        """Continue after `accepted`; hold at most `capacity` items."""
        self._accepted = accepted
        self._announced = accepted
        self._capacity = capacity
        self._held: dict[Position, T] = {}

    @property
    def accepted(self) -> Position:
        """The last position handed out; ORIGIN before the first."""
        return self._accepted

    @property
    def holding(self) -> bool:
        """Whether something is held because an earlier chain is missing."""
        return bool(self._held)

    @property
    def full(self) -> bool:
        """Whether no more can be held: the missing chain must be asked for again."""
        return len(self._held) >= self._capacity

    def announce(self, position: Position) -> None:
        """Note that `position` exists somewhere; an older epoch than the accepted one tells nothing."""
        if position.epoch == self._accepted.epoch:
            self._announced = max(self._announced, position)

    def offer(self, position: Position, item: T) -> tuple[Verdict, list[T]]:
        """Take one received item.

        Returns:
            What its position means, and the items that are to be stored now, in order: nothing unless the verdict is
            NEXT; then this item and those held that follow it. An AHEAD item beyond the capacity is dropped.
        """
        self.announce(position)
        verdict = judge(position, self._accepted, self._announced)
        if verdict is Verdict.AHEAD and not self.full:
            self._held[position] = item
        if verdict is not Verdict.NEXT:
            return verdict, []
        return verdict, [item, *self._advance(position)]

    def skip_to(self, position: Position) -> Position:
        """Give up what is missing before `position`, which is offered next.

        Returns:
            The last position before the gap.
        """
        before = self._accepted
        self._held.clear()
        self._accepted = Position(position.epoch, position.sequence - 1)
        self._announced = self._accepted
        return before

    def forget_held(self) -> Position | None:
        """Drop what is held; return the first position of it."""
        first = min(self._held, default=None)
        self._held.clear()
        return first

    def _advance(self, position: Position) -> Iterator[T]:
        self._accept(position)
        while self._held:
            first = min(self._held)
            # Of an old epoch that is over: unreachable, since a new one begins only without holes in the old.
            if judge(first, self._accepted, self._announced) is not Verdict.NEXT:
                return
            yield self._held.pop(first)
            self._accept(first)

    def _accept(self, position: Position) -> None:
        if position.epoch != self._accepted.epoch:
            self._announced = max((held for held in self._held if held.epoch == position.epoch), default=ORIGIN)
        self._accepted = position
        self._announced = max(self._announced, position)
