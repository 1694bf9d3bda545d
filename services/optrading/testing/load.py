"""A load on the way in of collection: chains at given instants, and how long each takes to reach a reader."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from types import TracebackType
from typing import Generic, Self

import numpy as np

from optrading.common.board import Board, ItemT
from optrading.market.chain import ORIGIN, Chain, ExpiryChain, Floats, Legs, Position, column
from optrading.market.indices import INDICES

_EXPIRIES = 5
_VARIANTS = 8
"""Chains of an index that differ and come in turn: making each anew would be a load of its own."""


@dataclass(frozen=True, slots=True)
class Load:
    """So many legs a second, spread over the six indices.

    Attributes:
        legs_per_chain: Legs of a chain, a multiple of 10.
        cut_s: Time between two chains of an index, seconds; the indices take turns within it.
        duration_s: How long chains come, seconds.
    """

    legs_per_chain: int
    cut_s: float
    duration_s: float

    @property
    def legs_per_second(self) -> float:
        """Return the legs of all indices in a second."""
        return len(INDICES) * self.legs_per_chain / self.cut_s


class PacedFeed:
    """A feed that hands out chains at their instants and notes when it did; a slow reader makes it late."""

    name = "synthetic"
    identity = "load"
    indices = tuple(INDICES)

    def __init__(self, load: Load) -> None:
        """Make the chains of `load` before anything is measured."""
        self._load = load
        self._variants = {index: [_chain(index, load.legs_per_chain, n) for n in range(_VARIANTS)] for index in INDICES}
        self.handed: dict[str, list[float]] = {index: [] for index in INDICES}
        """When each chain was handed out, `time.perf_counter`."""
        self.behind_s: list[float] = []
        """How long after its instant each chain was handed out, of all indices in order, seconds."""

    async def chains(self, _: Mapping[str, datetime]) -> AsyncIterator[Chain]:
        """Yield the chains of the load, then end."""
        begin = time.perf_counter()
        step_s = self._load.cut_s / len(INDICES)
        for number in range(round(self._load.duration_s / step_s)):
            due = begin + number * step_s
            await asyncio.sleep(max(due - time.perf_counter(), 0.0))
            index = self.indices[number % len(INDICES)]
            handed = self.handed[index]
            present = datetime.now(UTC)
            chain = replace(self._variants[index][len(handed) % _VARIANTS], event_time=present, receive_time=present)
            now = time.perf_counter()
            self.behind_s.append(now - due)
            handed.append(now)
            yield chain

    def select(self, indices: Collection[str]) -> None:
        """Bring all there are."""

    async def history(self, *_: object) -> Sequence[Chain]:
        """Return nothing."""
        return ()

    async def __aenter__(self) -> Self:
        """Open."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""


@dataclass(slots=True)
class Seen:
    """What a reader saw of one index.

    Attributes:
        positions: In the order of their coming.
        at: When each came, `time.perf_counter`.
    """

    positions: list[Position] = field(default_factory=list)
    at: list[float] = field(default_factory=list)


class BoardReader(Generic[ItemT]):
    """Reads every chain of one index from a board the moment it is announced, as `WatchChains` does."""

    def __init__(self, board: Board[ItemT], index: str) -> None:
        """Read `index` from `board`."""
        self._board = board
        self._index = index
        self.seen = Seen()

    async def read(self, chains: int) -> None:
        """Read until so many chains have come.

        Raises:
            RuntimeError: The reader was too slow and the board no longer has what it missed.
        """
        position = ORIGIN
        while len(self.seen.at) < chains:
            _, newest = await self._board.wait_after(self._index, position)
            now = time.perf_counter()
            if position == ORIGIN:
                position = Position(newest.position.epoch, 0)
            news = self._board.recent_after(self._index, position)
            if news is None:
                raise RuntimeError(f"{self._index}: chains after {position} are gone from the board")
            for item in news:
                position = item.position
                self.seen.positions.append(position)
                self.seen.at.append(now)


def latencies_s(feed: PacedFeed, readers: Mapping[str, BoardReader[ItemT]]) -> Floats:
    """Return how long each chain took from the feed to its reader, seconds, shape (N,)."""
    taken = [np.subtract(reader.seen.at, feed.handed[index]) for index, reader in readers.items()]
    return np.concatenate(taken)


def _chain(index: str, legs: int, variant: int) -> Chain:
    strikes, rest = divmod(legs, 2 * _EXPIRIES)
    if rest or not strikes:
        raise ValueError(f"a chain of {_EXPIRIES} expiries cannot have {legs} legs")
    today = date(2026, 8, 18)
    random = np.random.default_rng(variant)
    return Chain(
        index=index,
        event_time=datetime(2026, 8, 18, tzinfo=UTC),
        receive_time=datetime(2026, 8, 18, tzinfo=UTC),
        spot_inr=24_950.0 + variant,
        expiries=tuple(
            _expiry(today + timedelta(days=days), strikes, variant, random) for days in range(0, 7 * _EXPIRIES, 7)
        ),
        source=PacedFeed.name,
    )


def _expiry(expiry: date, strikes: int, variant: int, random: np.random.Generator) -> ExpiryChain:
    strike_inr = column(24_950.0 + 50.0 * (np.arange(strikes) - strikes // 2))
    return ExpiryChain(
        expiry=expiry,
        lot_size=65,
        strike_inr=strike_inr,
        call=_legs(strikes, variant, random),
        put=_legs(strikes, variant, random),
        atm_offset=np.zeros(strikes, dtype=np.int32),
    )


def _legs(strikes: int, variant: int, random: np.random.Generator) -> Legs:
    last = np.round(random.uniform(5.0, 900.0, strikes), 2)
    volume = 65.0 * (random.integers(1, 100_000, strikes) + variant)
    values = (last, last - 0.05, last + 0.05, volume, 2 * volume, volume - 65.0 * 50_000)
    return Legs(*(column(each) for each in values))
