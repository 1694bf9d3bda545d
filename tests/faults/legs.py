"""What a broker's tape said of each leg, held against what is stored: nothing invented, nothing left out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, datetime

import numpy as np

from optrading.market.chain import Chain

Leg = tuple[date, float, str]
"""Expiry, strike in rupees, CE or PE."""

COLUMNS = ("last_inr", "bid_inr", "ask_inr", "volume_units", "open_interest_units")
"""What Kite's ticks carry. Change of open interest is not among them: it stays unknown."""


NEVER_TRADED = (np.nan, np.nan, np.nan, 0.0, 0.0)
"""What a broker says of a contract that is listed and of which its exchange has never said anything."""


def legs_of(chain: Chain) -> Iterator[tuple[Leg, tuple[float, ...]]]:
    """Yield the known legs of a chain, prices in whole paise as Kite sends them."""
    for expiry in chain.expiries:
        for kind, legs in (("CE", expiry.call), ("PE", expiry.put)):
            known = np.flatnonzero(legs.known())
            columns = np.stack([getattr(legs, name) for name in COLUMNS])[:, known]
            # Half to even, as the broker rounds; a price that is not known is 0 there, and NaN again here.
            columns[:3] = np.rint(columns[:3] * 100) / 100
            for place, row in enumerate(known):
                yield (expiry.expiry, float(expiry.strike_inr[row]), kind), tuple(columns[:, place].tolist())


class TapeOfLegs:
    """Every value that each leg of one index ever had, and since when."""

    def __init__(self, chains: Iterable[Chain]) -> None:
        """Remember `chains` of one index, in the order of time."""
        self._since: dict[tuple[Leg | None, int], dict[float, datetime]] = {}
        for chain in chains:
            self._note(None, 0, round(chain.spot_inr * 100) / 100, chain.event_time)
            for leg, values in legs_of(chain):
                for column, value in enumerate(values):
                    self._note(leg, column, value, chain.event_time)

    def inventions(self, chain: Chain) -> list[str]:
        """Return a line for each value of a stored chain that its leg did not have by then."""
        found = []
        told: list[tuple[Leg | None, int, float]] = [(None, 0, chain.spot_inr)]
        for leg, values in legs_of(chain):
            if not np.array_equal(values, NEVER_TRADED, equal_nan=True):
                told += [(leg, column, value) for column, value in enumerate(values)]
        for leg, column, value in told:
            since = self._since.get((leg, column), {}).get(value)
            if not np.isnan(value) and (since is None or since > chain.event_time):
                name = COLUMNS[column] if leg else "spot"
                found.append(f"{chain.event_time}: {leg or chain.index} {name} {value}, known since {since}")
        return found

    def _note(self, leg: Leg | None, column: int, value: float, instant: datetime) -> None:
        self._since.setdefault((leg, column), {}).setdefault(value, instant)


def differences(stored: Chain, recorded: Chain) -> list[str]:
    """Return a line for each way in which a stored chain is not the recorded one: legs, values, spot, lot sizes.

    Prices and spot are compared in whole paise: Kite sends no more. Contracts that the recording does not know are
    listed at the broker and have never traded.
    """
    found = []
    spot = round(recorded.spot_inr * 100) / 100
    if stored.spot_inr != spot:
        found.append(f"spot {stored.spot_inr} instead of {spot}")
    ours, theirs = dict(legs_of(stored)), dict(legs_of(recorded))
    found += [f"{leg} is missing" for leg in theirs.keys() - ours.keys()]
    found += [
        f"{leg} is {ours[leg]} and not in the recording"
        for leg in ours.keys() - theirs.keys()
        if not np.array_equal(ours[leg], NEVER_TRADED, equal_nan=True)
    ]
    found += [
        f"{leg} is {ours[leg]} instead of {values}"
        for leg, values in theirs.items()
        if leg in ours and not np.array_equal(ours[leg], values, equal_nan=True)
    ]
    lots = {expiry.expiry: expiry.lot_size for expiry in stored.expiries}
    found += [
        f"lot size of {expiry.expiry} is {lots.get(expiry.expiry)} instead of {expiry.lot_size}"
        for expiry in recorded.expiries
        if lots.get(expiry.expiry) != expiry.lot_size
    ]
    return [f"{recorded.event_time}: {line}" for line in found]
