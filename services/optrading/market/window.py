"""The strikes that are active: a window around the money that follows the spot without flicker.

A window has a centre, a listed strike. It moves only when the spot is past the middle between two strikes by a margin
(hysteresis), and strikes that it leaves stay active for a while (overlap): a spot that trembles around a middle makes
no leg come and go, and no leg loses ticks while the window moves. What is wanted around the strike nearest to the spot
is active at once, also while the centre still stands on the one before: a reader counts from the former.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from optrading.market.chain import Floats
from optrading.market.strikes import atm_row

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class WindowShape:
    """What a window selects.

    Attributes:
        offsets: Steps of the listed ladder from the money; None selects every listed strike.
        margin: How far past the middle between two strikes the spot must be for the centre to move, as a part of their
            distance, 0 to 0.5.
        overlap: How long a strike that was left stays active, in time of events.
    """

    offsets: frozenset[int] | None
    margin: float = 0.25
    overlap: timedelta = timedelta(minutes=5)

    def widened(self, steps: int) -> WindowShape:
        """Return a window that reaches so many steps further on each side."""
        if self.offsets is None:
            return self
        reach = range(-steps, steps + 1)
        return WindowShape(frozenset(o + more for o in self.offsets for more in reach), self.margin, self.overlap)


@dataclass(slots=True)
class _Ladder:
    """What a window remembers of one expiry: centre, rupees, and until when strikes that were left are active."""

    centre_inr: float
    selected: frozenset[float] = frozenset()
    leaving: dict[float, datetime] = field(default_factory=dict)


class StrikeWindow:
    """The active strikes of one index, expiry by expiry. Pure: what it selects follows from what it was shown."""

    def __init__(self, shape: WindowShape) -> None:
        """Begin without a centre: the first spot sets it."""
        self._shape = shape
        self._steps = np.array(sorted(shape.offsets or ()), dtype=np.intp)
        self._ladders: dict[date, _Ladder] = {}
        self._latest: datetime | None = None

    def centres(self) -> dict[date, float]:
        """Return the strike that each expiry's window stands on, rupees; nothing before the first spot."""
        return {expiry: ladder.centre_inr for expiry, ladder in self._ladders.items()}

    def update(self, instant: datetime, spot_inr: float, listed: Mapping[date, Floats]) -> dict[date, Mask]:
        """Move with the spot and return what is active.

        Args:
            instant: Event time. One that is a little earlier than the last counts as the last; one that is earlier by
                more than the overlap begins anew, as when a recording is played again.
            spot_inr: Value of the index, rupees; NaN leaves every centre where it is.
            listed: Listed strikes by expiry, ascending, rupees; an expiry that is gone is forgotten.

        Returns:
            By expiry, which of its listed strikes are active, shape (N,).
        """
        if self._shape.offsets is None:
            return {expiry: np.ones(len(strikes), dtype=np.bool_) for expiry, strikes in listed.items()}
        latest = max(instant, self._latest or instant)
        if latest - instant > self._shape.overlap:
            self._ladders, latest = {}, instant
        instant = self._latest = latest
        self._ladders = {expiry: ladder for expiry, ladder in self._ladders.items() if expiry in listed}
        return {expiry: self._select(expiry, strikes, instant, spot_inr) for expiry, strikes in listed.items()}

    def _select(self, expiry: date, strikes: Floats, instant: datetime, spot_inr: float) -> Mask:
        if not len(strikes):
            return np.zeros(0, dtype=np.bool_)
        ladder = self._ladders.get(expiry)
        if ladder is None:
            # Without a spot there is no money to be around: the middle will do, but is not remembered.
            centre_inr = float(strikes[atm_row(strikes, spot_inr)])
            ladder = _Ladder(centre_inr)
            if not np.isnan(spot_inr):
                self._ladders[expiry] = ladder
        elif not np.isnan(spot_inr):
            ladder.centre_inr = self._centre(strikes, ladder.centre_inr, spot_inr)
        wanted = self._around(strikes, ladder.centre_inr)
        if not np.isnan(spot_inr):
            wanted |= self._around(strikes, spot_inr)
        selected = frozenset(strikes[wanted].tolist())
        for strike in ladder.selected - selected:
            ladder.leaving[strike] = instant + self._shape.overlap
        ladder.leaving = {s: until for s, until in ladder.leaving.items() if s not in selected and until > instant}
        ladder.selected = selected
        return wanted | np.isin(strikes, list(ladder.leaving)) if ladder.leaving else wanted

    def _around(self, strikes: Floats, place_inr: float) -> Mask:
        rows = self._steps + atm_row(strikes, place_inr)
        mask = np.zeros(len(strikes), dtype=np.bool_)
        mask[rows[(rows >= 0) & (rows < len(strikes))]] = True
        return mask

    def _centre(self, strikes: Floats, centre_inr: float, spot_inr: float) -> float:
        """Return the centre after a look at the spot: the nearest strike, unless hysteresis holds the old one."""
        old, nearest = atm_row(strikes, centre_inr), atm_row(strikes, spot_inr)
        if strikes[old] != centre_inr or abs(nearest - old) != 1:
            return float(strikes[nearest])  # the old one is no longer listed, or further than a step away, or the same
        distance = abs(strikes[nearest] - strikes[old])
        past_middle = abs(spot_inr - strikes[old]) - distance / 2
        return float(strikes[nearest] if past_middle > self._shape.margin * distance else strikes[old])
