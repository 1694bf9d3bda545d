"""What is suspicious of a chain: each leg compared with its own day so far, and the chain with what was wanted.

Nothing is changed or left out: a flag says what to think of a number, and the number stays as the feed gave it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np

from optrading.market.calendar import TradingCalendar
from optrading.market.chain import Chain, Completeness, ExpiryChain, Floats, Legs
from optrading.market.clock import trading_date
from optrading.market.quality import Flags, QualityFlag

_VOLUME, _INTEREST = 3, 4  # places in Legs.columns()


@dataclass(slots=True)
class _Day:
    """What the inspector remembers of one expiry's day; columns of shape (2 sides, N strikes), NaN before the first.

    Exchanges publish open interest every minute or so, not with each trade. What trades can explain of a change is
    therefore bounded by the volume since the publication before the last one.
    """

    day: date
    strike_inr: Floats
    greatest_volume: Floats
    interest: Floats
    volume_at_interest: Floats
    volume_before: Floats
    seen: Floats
    """1 for a leg of which something was known."""

    def aligned(self, strike_inr: Floats) -> _Day:
        """Return this for another ladder: strikes that are new know nothing, those that are gone are forgotten."""
        if np.array_equal(strike_inr, self.strike_inr):
            return self
        place = np.searchsorted(self.strike_inr, strike_inr)
        found = np.isin(strike_inr, self.strike_inr)

        def move(values: Floats) -> Floats:
            moved = np.full((2, len(strike_inr)), np.nan)
            moved[:, found] = values[:, place[found]]
            return moved

        columns = (self.greatest_volume, self.interest, self.volume_at_interest, self.volume_before, self.seen)
        return _Day(self.day, strike_inr, *(move(values) for values in columns))


def _unknown_day(day: date, strike_inr: Floats) -> _Day:
    return _Day(day, strike_inr, *(np.full((2, len(strike_inr)), np.nan) for _ in range(5)))


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
        self._days: dict[tuple[str, date], _Day] = {}

    def inspect(self, chain: Chain, open_gaps: int = 0) -> Chain:
        """Return `chain` with its flags and how complete it is.

        Wanted is every leg of an active strike that was known before on that day, or that the feed says is listed (by
        INCOMPLETE on the leg): recordings leave out what did not trade, and nobody misses that.

        Args:
            chain: Shaped; flags that the feed set stay set.
            open_gaps: Gaps of the index that are open.
        """
        day = trading_date(chain.event_time)
        self._forget(chain)
        wanted = 0
        expiries = []
        for expiry in chain.expiries:
            flagged, seen = self._flag_expiry(chain, expiry, day)
            expiries.append(flagged)
            wanted += seen
        completeness = _completeness(expiries, wanted, open_gaps)
        return replace(
            chain, expiries=tuple(expiries), quality=self._flag_chain(chain, completeness), completeness=completeness
        )

    def _flag_expiry(self, chain: Chain, expiry: ExpiryChain, day: date) -> tuple[ExpiryChain, int]:
        """Return the expiry with its flags, and how many of its legs were wanted."""
        if not len(expiry.strike_inr):
            return expiry, 0
        key = (chain.index, expiry.expiry)
        known = self._days.get(key)
        if known is None or known.day != day:
            known = _unknown_day(day, expiry.strike_inr)
        known = self._days[key] = known.aligned(expiry.strike_inr)
        suspicious = _flag_activity(known, expiry)
        call = _with_flags(expiry.call, suspicious[0] | _flag_prices(expiry.call, chain.spot_inr))
        put = _with_flags(expiry.put, suspicious[1] | _flag_prices(expiry.put, expiry.strike_inr))
        missing = np.stack([legs.quality & QualityFlag.INCOMPLETE.value != 0 for legs in (expiry.call, expiry.put)])
        wanted = np.count_nonzero((known.seen == 1) | missing)
        return replace(expiry, call=call, put=put), int(wanted)

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

    def _forget(self, chain: Chain) -> None:
        """Forget expiries of this index that are no longer listed."""
        listed = {expiry.expiry for expiry in chain.expiries}
        for key in [key for key in self._days if key[0] == chain.index and key[1] not in listed]:
            del self._days[key]


def _flag_activity(known: _Day, expiry: ExpiryChain) -> Flags:
    """Return flags of shape (2, N) for volume and open interest, and remember both and which legs there were."""
    known.seen = np.where(np.stack([expiry.call.known(), expiry.put.known()]), 1.0, known.seen)
    volume = np.stack([legs.columns()[_VOLUME] for legs in (expiry.call, expiry.put)])
    interest = np.stack([legs.columns()[_INTEREST] for legs in (expiry.call, expiry.put)])
    flags = np.zeros(volume.shape, dtype=np.uint16)
    flags[volume < known.greatest_volume] |= QualityFlag.DECREASING_VOLUME.value  # a comparison with NaN is false
    known.greatest_volume = np.fmax(known.greatest_volume, volume)
    published = ~np.isnan(interest) & (interest != known.interest)
    change = np.abs(interest - known.interest)
    flags[published & (change > known.greatest_volume - known.volume_before)] |= QualityFlag.OPEN_INTEREST_JUMP.value
    known.volume_before = np.where(published, known.volume_at_interest, known.volume_before)
    known.volume_at_interest = np.where(published, known.greatest_volume, known.volume_at_interest)
    known.interest = np.where(published, interest, known.interest)
    return flags


def _flag_prices(legs: Legs, most_inr: Floats | float) -> Flags:
    """Return flags of shape (N,) for prices.

    No option is worth more than what it can pay: a call the index, a put its strike (R. C. Merton (1973), "Theory of
    rational option pricing", Bell Journal of Economics 4, theorems 1 and 12). A last price below the intrinsic value is
    no fault: it was fair when it was traded.
    """
    flags = np.zeros(len(legs.last_inr), dtype=np.uint16)
    flags[legs.bid_inr > legs.ask_inr] |= QualityFlag.CROSSED_QUOTE.value
    outside = np.zeros(len(flags), dtype=np.bool_)
    for prices in (legs.last_inr, legs.bid_inr):
        outside |= (prices > most_inr) | (prices <= 0) | np.isinf(prices)
    flags[outside] |= QualityFlag.PRICE_OUTSIDE_LIMITS.value
    return flags


def _with_flags(legs: Legs, flags: Flags) -> Legs:
    return replace(legs, quality=legs.quality | flags) if flags.any() else legs


def _completeness(expiries: Sequence[ExpiryChain], wanted_count: int, open_gaps: int) -> Completeness:
    known_count = flagged_count = fresh_count = 0
    for expiry in expiries:
        for legs in (expiry.call, expiry.put):
            known = legs.known()
            known_count += int(np.count_nonzero(known))
            flagged_count += int(np.count_nonzero(known & (legs.quality != 0)))
            fresh_count += int(np.count_nonzero(known & (legs.quality & QualityFlag.STALE.value == 0)))
    ratio = fresh_count / wanted_count if wanted_count else float("nan")
    return Completeness(wanted_count, known_count, flagged_count, ratio, open_gaps)
