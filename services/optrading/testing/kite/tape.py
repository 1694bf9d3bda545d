"""What a broker plays: a recorded day, chains that a test made, or the synthetic market as it is now."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Protocol

from optrading.collection.feeds.replay import Recording
from optrading.collection.feeds.synthetic import SyntheticMarket
from optrading.market.chain import Chain
from optrading.market.indices import INDICES

_MINUTE = timedelta(minutes=1)


class Tape(Protocol):
    """Instants in the order of time, each with one chain of every index that has news then."""

    @property
    def indices(self) -> tuple[str, ...]:
        """Return the symbols that occur."""
        ...

    @property
    def count(self) -> int | None:
        """Return how many instants there are; None when they have no end."""
        ...

    def instant(self, number: int) -> datetime:
        """Return when instant `number` is, which counts from 0; aware, UTC.

        Raises:
            IndexError: There is no such instant.
        """
        ...

    def chains(self, number: int) -> Sequence[Chain]:
        """Return what is new at instant `number`.

        Raises:
            IndexError: There is no such instant.
        """
        ...

    def listed(self) -> Iterator[Chain]:
        """Yield chains that together hold every contract that is known beforehand."""
        ...

    def between(self, index: str, since: datetime, until: datetime) -> Iterator[Chain]:
        """Yield chains of `index` with since <= event time < until, in order: enough to tell each minute's candle."""
        ...


class ChainTape:
    """Plays chains that are in memory."""

    def __init__(self, chains: Iterable[Chain]) -> None:
        """Play `chains`, in the order of their event times.

        Raises:
            ValueError: There is none.
        """
        ordered = sorted(chains, key=lambda chain: chain.event_time)
        if not ordered:
            raise ValueError("a tape holds at least one chain")
        self._instants: list[datetime] = []
        self._chains: list[tuple[Chain, ...]] = []
        for instant, group in groupby(ordered, lambda chain: chain.event_time):
            self._instants.append(instant)
            self._chains.append(tuple(group))

    @property
    def indices(self) -> tuple[str, ...]:
        """Return the symbols that occur."""
        found = {chain.index for chains in self._chains for chain in chains}
        return tuple(symbol for symbol in INDICES if symbol in found)

    @property
    def count(self) -> int:
        """Return how many instants there are."""
        return len(self._instants)

    def instant(self, number: int) -> datetime:
        """Return when instant `number` is."""
        return self._instants[_checked(number, self.count)]

    def chains(self, number: int) -> Sequence[Chain]:
        """Return what is new at instant `number`."""
        return self._chains[_checked(number, self.count)]

    def listed(self) -> Iterator[Chain]:
        """Yield every chain."""
        for chains in self._chains:
            yield from chains

    def between(self, index: str, since: datetime, until: datetime) -> Iterator[Chain]:
        """Yield the chains of `index` with since <= event time < until."""
        for number in range(bisect_left(self._instants, since), bisect_left(self._instants, until)):
            yield from (chain for chain in self._chains[number] if chain.index == index)


class RecordedTape:
    """Plays what the replay feed's `open_recording` returned; chains are cut when they are asked for."""

    def __init__(self, recording: Recording) -> None:
        """Play `recording`."""
        self._recording = recording
        numbers = groupby(range(len(recording)), recording.event_time)
        self._groups = [(instant, tuple(group)) for instant, group in numbers]
        self._instants = [instant for instant, _ in self._groups]

    @property
    def indices(self) -> tuple[str, ...]:
        """Return the symbols that occur."""
        return self._recording.indices

    @property
    def count(self) -> int:
        """Return how many instants there are."""
        return len(self._instants)

    def instant(self, number: int) -> datetime:
        """Return when instant `number` is."""
        return self._instants[_checked(number, self.count)]

    def chains(self, number: int) -> Sequence[Chain]:
        """Return what is new at instant `number`."""
        instant, numbers = self._groups[_checked(number, self.count)]
        return [self._recording.chain(each, instant, "replay") for each in numbers]

    def listed(self) -> Iterator[Chain]:
        """Yield every chain."""
        for number in range(self.count):
            yield from self.chains(number)

    def between(self, index: str, since: datetime, until: datetime) -> Iterator[Chain]:
        """Yield the chains of `index` with since <= event time < until."""
        for number in range(bisect_left(self._instants, since), bisect_left(self._instants, until)):
            instant, numbers = self._groups[number]
            for each in numbers:
                if self._recording.index(each) == index:
                    yield self._recording.chain(each, instant, "replay")


class SyntheticTape:
    """Plays the synthetic market from an instant on, without an end."""

    def __init__(
        self, *, start: datetime, indices: Sequence[str] = tuple(INDICES), interval_s: int = 1, seed: int = 1
    ) -> None:
        """Play the market of `seed`.

        Args:
            start: First instant, aware; truncated to whole seconds, as exchanges' times are.
            indices: Symbols, each once.
            interval_s: Time between two instants, seconds, >= 1.
            seed: Which market.
        """
        self._start = start.astimezone(UTC).replace(microsecond=0)
        self._interval = timedelta(seconds=interval_s)
        self._indices = tuple(symbol for symbol in INDICES if symbol in indices)
        self._market = SyntheticMarket(seed)

    @property
    def indices(self) -> tuple[str, ...]:
        """Return the symbols that occur."""
        return self._indices

    @property
    def count(self) -> None:
        """Return None: it has no end."""
        return

    def instant(self, number: int) -> datetime:
        """Return when instant `number` is."""
        if number < 0:
            raise IndexError(f"there is no instant {number}")
        return self._start + number * self._interval

    def chains(self, number: int) -> Sequence[Chain]:
        """Return the chain of every index at instant `number`."""
        instant = self.instant(number)
        return [self._market.chain(symbol, instant, instant) for symbol in self._indices]

    def listed(self) -> Iterator[Chain]:
        """Yield what is listed at the beginning; what is listed later is seen when it comes."""
        yield from self.chains(0)

    def between(self, index: str, since: datetime, until: datetime) -> Iterator[Chain]:
        """Yield the first and the last second of each minute: the whole of it would take too long to make up."""
        minute = since.replace(second=0, microsecond=0)
        while minute < until:
            for instant in (minute, minute + timedelta(seconds=59)):
                if since <= instant < until:
                    yield self._market.chain(index, instant, instant)
            minute += _MINUTE


def number_at(tape: Tape, instant: datetime) -> int:
    """Return the number of the last instant of `tape` that is not after `instant`; 0 when all are."""
    low, high = 0, 1
    if tape.count is None:
        while tape.instant(high) <= instant:
            high *= 2
    else:
        high = tape.count
    return max(bisect_right(range(low, high), instant, key=tape.instant) - 1, 0)


def _checked(number: int, count: int) -> int:
    if not 0 <= number < count:
        raise IndexError(f"there is no instant {number}: the tape has {count}")
    return number
