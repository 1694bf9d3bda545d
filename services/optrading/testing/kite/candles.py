"""Minute candles of one instrument, made from what the tape has of each minute."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from optrading.market.chain import Chain
from optrading.market.clock import IST
from optrading.testing.kite.instruments import Instrument
from optrading.testing.kite.market import paise
from optrading.testing.kite.tape import Tape

_MINUTE = timedelta(minutes=1)
_TELLS_VOLUME = timedelta(minutes=2)
"""So far back a chain is looked for that tells how much had been traded before the first candle."""
_KEPT = 4096


@dataclass(frozen=True, slots=True)
class Candle:
    """One minute of one instrument.

    Attributes:
        minute: Its beginning, aware.
        prices: Open, high, low, close, paise.
        volume_units: Traded in it.
        open_interest_units: At its end.
    """

    minute: datetime
    prices: tuple[int, int, int, int]
    volume_units: int
    open_interest_units: int

    def row(self, *, with_interest: bool) -> list[object]:
        """Return it as the broker's JSON has it."""
        row: list[object] = [f"{self.minute.astimezone(IST):%Y-%m-%dT%H:%M:%S%z}"]
        row += [price / 100 for price in self.prices]
        row.append(self.volume_units)
        return [*row, self.open_interest_units] if with_interest else row


class CandleMaker:
    """Makes candles from a tape and remembers the chains it needed last: one answer is asked for leg by leg."""

    def __init__(self, tape: Tape) -> None:
        """Make candles of what `tape` plays."""
        self._tape = tape
        self._minutes: dict[tuple[str, datetime], tuple[Chain, ...]] = {}

    def candles(self, instrument: Instrument, since: datetime, until: datetime, now: datetime) -> list[Candle]:
        """Return the candles whose minute begins in since..until, both included; minutes without a price are left out.

        A candle's open is the first price that the tape has of its minute, its close the last. Volume is what the
        day's volume grew by since the last chain of the two minutes before; 0 where there is none. The minute that
        holds `now` ends there; later ones have no candle.
        """
        index = instrument.name
        first = since.replace(second=0, microsecond=0)
        if first < since:
            first += _MINUTE
        before: tuple[int, int, int] | None = None
        for chain in self._chains(index, first - _TELLS_VOLUME, first):
            before = _leg(chain, instrument) or before
        found = []
        minute = first
        while minute <= min(until, now):
            chains = [chain for chain in self._chains(index, minute, minute + _MINUTE) if chain.event_time <= now]
            legs = [leg for chain in chains if (leg := _leg(chain, instrument))]
            prices = [last for last, _, _ in legs if last]
            if prices:
                volume = max(legs[-1][1] - before[1], 0) if before else 0
                shape = (prices[0], max(prices), min(prices), prices[-1])
                found.append(Candle(minute, shape, volume, legs[-1][2]))
            before = legs[-1] if legs else before
            minute += _MINUTE
        return found

    def _chains(self, index: str, since: datetime, until: datetime) -> Iterator[Chain]:
        minute = since
        while minute < until:
            chains = self._minutes.get((index, minute))
            if chains is None:
                chains = tuple(self._tape.between(index, minute, minute + _MINUTE))
                if len(self._minutes) >= _KEPT:
                    self._minutes.clear()
                self._minutes[index, minute] = chains
            yield from chains
            minute += _MINUTE


def _leg(chain: Chain, instrument: Instrument) -> tuple[int, int, int] | None:
    """Return last price in paise, volume and open interest in units; None where the chain does not know the leg."""
    if instrument.expiry is None:
        last = int(paise(np.array([chain.spot_inr]))[0])
        return (last, 0, 0) if last else None
    for expiry in chain.expiries:
        if expiry.expiry != instrument.expiry:
            continue
        row = int(np.searchsorted(expiry.strike_inr, instrument.strike_inr))
        if row == len(expiry.strike_inr) or expiry.strike_inr[row] != instrument.strike_inr:
            return None
        legs = expiry.call if instrument.kind == "CE" else expiry.put
        values = np.array([legs.last_inr[row] * 100, legs.volume_units[row], legs.open_interest_units[row]])
        if np.isnan(values).all():
            return None
        last, volume, interest = np.rint(np.nan_to_num(values)).astype(np.int64).tolist()
        return last, volume, interest
    return None
