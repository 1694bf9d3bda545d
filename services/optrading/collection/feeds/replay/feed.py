"""The replay feed: a recording, chain by chain, at its pace, once or for ever."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Self

from optrading.collection.feeds.replay.pace import Pace
from optrading.collection.feeds.replay.recording import Recording
from optrading.common.clock import Clock
from optrading.market.chain import Chain


class ReplayFeed:
    """Plays a recording; see `optrading.collection.feeds.base.Feed`.

    In a loop every further pass repeats the recording with the event times it has: history then shows the newest
    version of each instant. Between two passes lies the recording's usual gap.
    """

    name = "replay"

    def __init__(self, recording: Recording, *, clock: Clock, speed: float | None = 1.0, loop: bool = False) -> None:
        """Play `recording`.

        Args:
            recording: What `open_recording` returned.
            clock: Keeps the pace and dates `receive_time`.
            speed: Times the recorded speed, > 0; None is as fast as chains are taken. See `parse_speed`.
            loop: Whether to begin again at the end instead of ending.
        """
        self._recording = recording
        self._clock = clock
        self._speed = speed
        self._loop = loop
        self._selected: Collection[str] = recording.indices

    @property
    def identity(self) -> str:
        """Return the SHA-256 of the recording."""
        return self._recording.identity

    @property
    def indices(self) -> tuple[str, ...]:
        """Return the indices that occur in the recording."""
        return self._recording.indices

    def select(self, indices: Collection[str]) -> None:
        """Bring only these from now on; what is not selected is passed over, at its pace."""
        self._selected = frozenset(indices)

    async def chains(self, resume: Mapping[str, datetime]) -> AsyncIterator[Chain]:
        """Yield the recorded chains; those that `resume` says are durable are left out of the first pass."""
        recording, durable = self._recording, dict(resume)
        pace = Pace(self._clock, self._speed)
        while True:
            for number in range(len(recording)):
                event_time = recording.event_time(number)
                last = durable.get(recording.index(number))
                if last is not None and event_time <= last:
                    continue
                await pace.until(event_time)
                if recording.index(number) not in self._selected:
                    continue
                yield recording.chain(number, self._clock.now(), self.name)
            if not self._loop:
                return
            durable.clear()
            pace.begin_again()
            await pace.wait(recording.usual_gap_s())

    async def history(self, index: str, since: datetime, until: datetime) -> Sequence[Chain]:
        """Return nothing: a recording misses nothing that it could give later."""
        return ()

    async def __aenter__(self) -> Self:
        """Open the feed; the recording is in memory already."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the feed; it holds nothing."""
