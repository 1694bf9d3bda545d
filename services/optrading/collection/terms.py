"""Terms of ownership: which indices this collector has, under which epoch, and how far each has come."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from optrading.market.chain import Position
from optrading.market.codec import to_micros

SIDE_EPOCH_OFFSET_MS = 10**12
"""Epochs of side lanes are so much smaller than a live epoch of the same moment: no live one is ever as small."""

SIDE_EPOCHS_END = 10**12
"""Every epoch of an import or of history is below this (until the year 2033), and every live one (since 2001) above."""


def next_epoch(last: int, now: datetime) -> int:
    """Return the epoch of a term that begins: greater than any before, also after its state was lost."""
    return max(last + 1, to_micros(now) // 1000)


class Terms:
    """The terms that are running. Touched only by the thread that writes the journal, apart from looking."""

    def __init__(self) -> None:
        """Own nothing."""
        self._epochs: dict[str, int] = {}
        self._sequences: dict[str, int] = {}
        self._latest = 0

    @property
    def latest_epoch(self) -> int:
        """Return the greatest epoch this process ever had; 0 before the first."""
        return self._latest

    @property
    def owned(self) -> Collection[str]:
        """Return the indices that are owned now."""
        return frozenset(self._epochs)

    def epoch_of(self, index: str) -> int:
        """Return the epoch under which `index` is owned; 0 when it is not."""
        return self._epochs.get(index, 0)

    def begin(self, index: str, epoch: int) -> None:
        """Own `index` under `epoch`, which is greater than every one it had; its sequences begin anew."""
        if epoch <= self._epochs.get(index, 0):
            raise ValueError(f"{index} is owned under epoch {self._epochs[index]}; {epoch} is not newer")
        self._epochs[index] = epoch
        self._sequences[index] = 0
        self._latest = max(self._latest, epoch)

    def end(self, index: str) -> None:
        """Own `index` no longer."""
        self._epochs.pop(index, None)

    def next_position(self, index: str) -> Position:
        """Return the place of the next chain of an index that is owned."""
        self._sequences[index] += 1
        return Position(self._epochs[index], self._sequences[index])

    def count(self, index: str) -> int:
        """Return how many chains the newest term of `index` has; 0 when it never had one."""
        return self._sequences.get(index, 0)
