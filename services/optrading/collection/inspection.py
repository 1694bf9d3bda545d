"""What is suspicious of a chain: each leg compared with its own day so far, and the chain with what was wanted.

Nothing is changed or left out: a flag says what to think of a number, and the number stays as the feed gave it. All
legs of a chain are looked at together: an index has up to nineteen expiries, and each alone would cost as much as all.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta
from itertools import accumulate, pairwise
from typing import Self

import numpy as np
from numpy.typing import NDArray

from optrading.market.calendar import TradingCalendar
from optrading.market.chain import LEG_COLUMNS, Chain, Completeness, ExpiryChain, Floats, Legs
from optrading.market.clock import trading_date
from optrading.market.quality import Flags, QualityFlag

_LAST, _BID, _ASK, _VOLUME, _INTEREST, _ = range(len(LEG_COLUMNS))  # places in Legs.columns()
_NOTES = 5
"""What is remembered of a leg, see `_Day`."""


@dataclass(frozen=True, slots=True)
class _Table:
    """The legs of a chain side by side: calls of every expiry in their order, and puts.

    Attributes:
        expiries: Expiry days.
        bounds: Where each expiry begins among the N strikes, and N.
        strike_inr: Strikes of every expiry, shape (N,).
        values: Columns of the legs, shape (6 columns, 2 sides, N).
        quality: Flags of the feed, shape (2, N).
    """

    expiries: tuple[date, ...]
    bounds: tuple[int, ...]
    strike_inr: Floats
    values: Floats
    quality: Flags

    @classmethod
    def of(cls, chain: Chain) -> Self:
        """Return the table of a chain that has strikes."""
        legs = [each.call for each in chain.expiries] + [each.put for each in chain.expiries]
        columns = [np.concatenate(parts) for parts in zip(*(each.columns() for each in legs), strict=True)]
        return cls(
            tuple(each.expiry for each in chain.expiries),
            tuple(accumulate((len(each.strike_inr) for each in chain.expiries), initial=0)),
            np.concatenate([each.strike_inr for each in chain.expiries]),
            np.stack(columns).reshape(len(LEG_COLUMNS), 2, -1),
            np.concatenate([each.quality for each in legs]).reshape(2, -1),
        )

    def has_ladders_of(self, other: _Table) -> bool:
        """Return whether both list the same strikes of the same expiries."""
        return (self.expiries, self.bounds) == (other.expiries, other.bounds) and np.array_equal(
            self.strike_inr, other.strike_inr
        )


@dataclass(slots=True)
class _Day:
    """What the inspector remembers of one index's day.

    Exchanges publish open interest every minute or so, not with each trade. What trades can explain of a change is
    therefore bounded by the volume since the publication before the last one.

    Attributes:
        day: Its day in India.
        table: The chain before.
        notes: Of each leg its greatest volume, open interest, the volume when that was published, the volume when the
            one before was, and 1 when anything of it was ever known; shape (5, 2, N), NaN where nothing is.
    """

    day: date
    table: _Table
    notes: Floats

    @classmethod
    def begin(cls, day: date, table: _Table) -> Self:
        """Return a day of which nothing is known."""
        return cls(day, table, np.full((_NOTES, *table.quality.shape), np.nan))

    def follow(self, table: _Table) -> None:
        """Take the ladders of `table`: strikes that are new know nothing, those that are gone are forgotten."""
        if not table.has_ladders_of(self.table):
            notes = np.full((_NOTES, *table.quality.shape), np.nan)
            before = dict(zip(self.table.expiries, pairwise(self.table.bounds), strict=True))
            for expiry, (begin, end) in zip(table.expiries, pairwise(table.bounds), strict=True):
                first, last = before.get(expiry, (0, 0))
                known, wanted = self.table.strike_inr[first:last], table.strike_inr[begin:end]
                found = np.flatnonzero(np.isin(wanted, known))
                notes[:, :, begin + found] = self.notes[:, :, first + np.searchsorted(known, wanted[found])]
            self.notes = notes
        self.table = table


class Inspector:
    """Flags the chains of every index, in their order; remembers the day of each leg."""

    def __init__(self, stale_after: timedelta, calendar: TradingCalendar | None = None) -> None:
        """Judge by these.

        Args:
            stale_after: Age of a chain's event time against its receive time from which on it is stale.
            calendar: When the market is open; None where it is not a live one: a recording is never late.
        """
        self._stale_after = stale_after
        self._calendar = calendar
        self._days: dict[str, _Day] = {}

    def inspect(self, chain: Chain, open_gaps: int = 0) -> Chain:
        """Return `chain` with its flags and how complete it is.

        Wanted is every leg of an active strike that was known before on that day, or that the feed says is listed (by
        INCOMPLETE on the leg): recordings leave out what did not trade, and nobody misses that.

        Args:
            chain: Shaped; flags that the feed set stay set.
            open_gaps: Gaps of the index that are open.
        """
        if not any(len(expiry.strike_inr) for expiry in chain.expiries):
            completeness = Completeness(0, 0, 0, float("nan"), open_gaps)
            return replace(chain, quality=self._flag_chain(chain, completeness), completeness=completeness)
        table = _Table.of(chain)
        known = np.asarray(~np.isnan(table.values).all(axis=0), dtype=np.bool_)
        notes = self._notes_of(chain, table)
        notes[-1][known] = 1.0
        flags = _flag_activity(notes, table) | _flag_prices(table, chain.spot_inr)
        quality = table.quality | flags
        completeness = _completeness(known, notes[-1] == 1, quality, open_gaps)
        return replace(
            chain,
            expiries=_with_flags(chain.expiries, table, flags) if flags.any() else chain.expiries,
            quality=self._flag_chain(chain, completeness),
            completeness=completeness,
        )

    def _notes_of(self, chain: Chain, table: _Table) -> Floats:
        """Return what is remembered of the legs of `table`, to be changed in place."""
        day = trading_date(chain.event_time)
        known = self._days.get(chain.index)
        if known is None or known.day != day:
            known = self._days[chain.index] = _Day.begin(day, table)
        known.follow(table)
        return known.notes

    def _flag_chain(self, chain: Chain, completeness: Completeness) -> QualityFlag:
        flags = chain.quality
        if completeness.known_leg_count < max(completeness.wanted_leg_count, 1):
            flags |= QualityFlag.INCOMPLETE
        if self._calendar is not None:
            if not self._calendar.is_open(chain.event_time):
                flags |= QualityFlag.MARKET_CLOSED
            elif chain.receive_time - chain.event_time > self._stale_after:
                flags |= QualityFlag.STALE
        return flags


def _flag_activity(notes: Floats, table: _Table) -> Flags:
    """Return flags of shape (2, N) for volume and open interest, and remember both."""
    greatest_volume, interest, volume_at_interest, volume_before, _ = notes
    volume, now = table.values[_VOLUME], table.values[_INTEREST]
    flags = np.zeros(volume.shape, dtype=np.uint16)
    flags[volume < greatest_volume] |= QualityFlag.DECREASING_VOLUME.value  # a comparison with NaN is false
    np.fmax(greatest_volume, volume, out=greatest_volume)
    published = ~np.isnan(now) & (now != interest)
    unexplained = published & (np.abs(now - interest) > greatest_volume - volume_before)
    flags[unexplained] |= QualityFlag.OPEN_INTEREST_JUMP.value
    np.copyto(volume_before, volume_at_interest, where=published)
    np.copyto(volume_at_interest, greatest_volume, where=published)
    np.copyto(interest, now, where=published)
    return flags


def _flag_prices(table: _Table, spot_inr: float) -> Flags:
    """Return flags of shape (2, N) for prices.

    No option is worth more than what it can pay: a call the index, a put its strike (R. C. Merton (1973), "Theory of
    rational option pricing", Bell Journal of Economics 4, theorems 1 and 12). A last price below the intrinsic value is
    no fault: it was fair when it was traded.
    """
    flags = np.zeros(table.quality.shape, dtype=np.uint16)
    flags[table.values[_BID] > table.values[_ASK]] |= QualityFlag.CROSSED_QUOTE.value
    most_inr = np.stack([np.full(len(table.strike_inr), spot_inr), table.strike_inr])
    prices = table.values[[_LAST, _BID]]
    outside = (prices > most_inr) | (prices <= 0) | np.isinf(prices)
    flags[outside.any(axis=0)] |= QualityFlag.PRICE_OUTSIDE_LIMITS.value
    return flags


def _with_flags(expiries: tuple[ExpiryChain, ...], table: _Table, flags: Flags) -> tuple[ExpiryChain, ...]:
    return tuple(
        replace(
            expiry,
            call=_flagged(expiry.call, flags[0, begin:end]),
            put=_flagged(expiry.put, flags[1, begin:end]),
        )
        for expiry, (begin, end) in zip(expiries, pairwise(table.bounds), strict=True)
    )


def _flagged(legs: Legs, flags: Flags) -> Legs:
    return replace(legs, quality=legs.quality | flags) if flags.any() else legs


def _completeness(known: NDArray[np.bool_], seen: NDArray[np.bool_], quality: Flags, open_gaps: int) -> Completeness:
    wanted_count = int(np.count_nonzero(seen | (quality & QualityFlag.INCOMPLETE.value != 0)))
    flagged_count = int(np.count_nonzero(known & (quality != 0)))
    fresh_count = int(np.count_nonzero(known & (quality & QualityFlag.STALE.value == 0)))
    ratio = fresh_count / wanted_count if wanted_count else float("nan")
    return Completeness(wanted_count, int(np.count_nonzero(known)), flagged_count, ratio, open_gaps)
