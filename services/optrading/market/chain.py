"""One option chain of one index at one instant, column by column, as every service handles it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from optrading.market.quality import UNSUSPICIOUS, Flags, QualityFlag, no_flags

Floats = NDArray[np.float64]
Ints = NDArray[np.int32]


class Position(NamedTuple):
    """Place of a snapshot among those of its index; positions compare by epoch, then sequence."""

    epoch: int
    sequence: int


ORIGIN = Position(0, 0)
"""Before every snapshot."""


def column(values: ArrayLike) -> Floats:
    """Return `values` as a read-only float64 column."""
    array = np.array(values, dtype=np.float64)
    array.setflags(write=False)
    return array


@dataclass(frozen=True, slots=True, eq=False)
class Legs:
    """One side (calls or puts) of an expiry; every column has shape (N,) and NaN where nothing is known.

    Attributes:
        last_inr: Last traded price, rupees per unit.
        bid_inr: Best bid, rupees per unit.
        ask_inr: Best ask, rupees per unit.
        volume_units: Traded today, units of the index.
        open_interest_units: Open interest, units of the index.
        open_interest_change_units: Change against the previous day's close, units of the index.
        quality: What is suspicious of each leg, sums of `QualityFlag`; nothing unless given.
    """

    last_inr: Floats
    bid_inr: Floats
    ask_inr: Floats
    volume_units: Floats
    open_interest_units: Floats
    open_interest_change_units: Floats
    quality: Flags = field(default_factory=lambda: no_flags(0), kw_only=True)

    def __post_init__(self) -> None:
        """Fill in what is suspicious where it was not given: nothing."""
        if not len(self.quality):
            object.__setattr__(self, "quality", no_flags(len(self.last_inr)))

    @classmethod
    def unknown(cls, size: int) -> Self:
        """Return `size` legs of which nothing is known."""
        return cls(*(column(np.full(size, np.nan)) for _ in LEG_COLUMNS))

    def columns(self) -> tuple[Floats, ...]:
        """Return the six columns of numbers in the order of the attributes."""
        return (
            self.last_inr,
            self.bid_inr,
            self.ask_inr,
            self.volume_units,
            self.open_interest_units,
            self.open_interest_change_units,
        )

    def known(self) -> NDArray[np.bool_]:
        """Return, shape (N,), which legs have at least one known value."""
        # Column by column: for the few strikes of an expiry, stacking them first takes nearly twice as long.
        first, *others = self.columns()
        unknown = np.isnan(first)
        for values in others:
            unknown &= np.isnan(values)
        return ~unknown

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_] | slice) -> Self:
        """Return these rows only."""
        return type(self)(*(values[rows] for values in self.columns()), quality=self.quality[rows])


LEG_COLUMNS: tuple[str, ...] = (
    "last_inr",
    "bid_inr",
    "ask_inr",
    "volume_units",
    "open_interest_units",
    "open_interest_change_units",
)
"""Names of the columns of numbers, in order."""


@dataclass(frozen=True, slots=True, eq=False)
class ExpiryChain:
    """The wanted strikes of one expiry.

    Attributes:
        expiry: Expiry day; contracts expire at 15:30 IST of it.
        lot_size: Units in one contract; 0 when unknown.
        strike_inr: Strikes, rupees, strictly ascending, shape (N,).
        call: Calls of these strikes.
        put: Puts of these strikes.
        atm_offset: Steps of the listed ladder from the strike nearest to spot, shape (N,). Set by collection.
        buckets: Buckets this expiry answers to on the chain's date. Set by collection.
    """

    expiry: date
    lot_size: int
    strike_inr: Floats
    call: Legs
    put: Legs
    atm_offset: Ints
    buckets: tuple[str, ...] = ()

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_] | slice) -> Self:
        """Return these strikes only."""
        return replace(
            self,
            strike_inr=self.strike_inr[rows],
            call=self.call.take(rows),
            put=self.put.take(rows),
            atm_offset=self.atm_offset[rows],
        )

    def leg_count(self) -> int:
        """Return the number of legs with at least one known value."""
        return int(np.count_nonzero(self.call.known()) + np.count_nonzero(self.put.known()))


@dataclass(frozen=True, slots=True)
class Completeness:
    """How much of what was wanted a chain holds.

    Attributes:
        wanted_leg_count: Legs that were wanted: of the active strikes, what is known to be listed.
        known_leg_count: Legs of these with at least one known value.
        flagged_leg_count: Known legs with at least one quality flag.
        ratio: Legs that are known and not stale, over those wanted: 0 to 1; NaN when none was wanted.
        open_gap_count: Gaps of the index that were open at this instant.
    """

    wanted_leg_count: int
    known_leg_count: int
    flagged_leg_count: int
    ratio: float
    open_gap_count: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Chain:
    """One index at one instant.

    Attributes:
        index: Index symbol, such as `NIFTY`.
        event_time: When the exchange or the recording says this was so, aware, UTC.
        receive_time: When the collector had it, aware, UTC.
        spot_inr: Value of the index, rupees; NaN when unknown.
        expiries: Ascending by expiry, each once.
        source: Feed it came from.
        quality: What is suspicious of it as a whole.
        completeness: How much of what was wanted it holds; None where nobody said.
    """

    index: str
    event_time: datetime
    receive_time: datetime
    spot_inr: float
    expiries: tuple[ExpiryChain, ...]
    source: str
    quality: QualityFlag = UNSUSPICIOUS
    completeness: Completeness | None = None

    def leg_count(self) -> int:
        """Return the number of legs with at least one known value."""
        return sum(expiry.leg_count() for expiry in self.expiries)
