"""What every recording is read into: one row per leg and instant, as columns, checked as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

import numpy as np
from numpy.typing import NDArray

from optrading.collection.feeds.base import FeedError
from optrading.market.chain import Floats
from optrading.market.clock import IST
from optrading.market.codec import from_micros
from optrading.market.indices import INDICES, find_index

Int64s = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Legs of a recording in any order; every column has shape (N,), NaN where nothing is known.

    Attributes:
        index_code: Place of the index in `market.indices.INDICES`.
        event_micros: Microseconds since 1970-01-01 UTC.
        expiry_ordinal: Expiry day as `date.toordinal`.
        strike_inr: Rupees.
        is_put: Whether the leg is a put.
        spot_inr: Value of the index, rupees.
        last_inr: Last traded price, rupees.
        bid_inr: Best bid, rupees.
        ask_inr: Best ask, rupees.
        volume_contracts: Traded that day, contracts.
        open_interest_contracts: Open interest, contracts; may be fractional.
        open_interest_change_contracts: Change against the day before, contracts; may be fractional.
    """

    index_code: Int64s
    event_micros: Int64s
    expiry_ordinal: Int64s
    strike_inr: Floats
    is_put: NDArray[np.bool_]
    spot_inr: Floats
    last_inr: Floats
    bid_inr: Floats
    ask_inr: Floats
    volume_contracts: Floats
    open_interest_contracts: Floats
    open_interest_change_contracts: Floats

    def __len__(self) -> int:
        """Return the number of legs over all instants."""
        return len(self.event_micros)

    def describe(self, row: int) -> str:
        """Return one row's leg and instant as people write them."""
        expiry = date.fromordinal(int(self.expiry_ordinal[row]))
        instant = from_micros(int(self.event_micros[row])).astimezone(IST)
        return (
            f"{SYMBOLS[self.index_code[row]]} {expiry:%d-%b-%Y} {self.strike_inr[row]:g} "
            f"{'PE' if self.is_put[row] else 'CE'} at {instant:%Y-%m-%d %H:%M:%S} IST"
        )

    def check(self) -> None:
        """Make sure that no value is impossible.

        Raises:
            FeedError: There are no rows, or one holds a value that no exchange sends; the first such is named.
        """
        if not len(self):
            raise FeedError("the recording has no rows")
        self._refuse("strike", self.strike_inr, ~(np.isfinite(self.strike_inr) & (self.strike_inr > 0)), "above 0")
        for name, values in (
            ("spot", self.spot_inr),
            ("last price", self.last_inr),
            ("bid", self.bid_inr),
            ("ask", self.ask_inr),
            ("volume", self.volume_contracts),
            ("open interest", self.open_interest_contracts),
        ):
            self._refuse(name, values, (values < 0) | np.isinf(values), "0 or more, or empty")
        change = self.open_interest_change_contracts
        self._refuse("change of open interest", change, np.isinf(change), "finite, or empty")

    def _refuse(self, name: str, values: Floats, wrong: NDArray[np.bool_], allowed: str) -> None:
        if wrong.any():
            row = int(np.argmax(wrong))
            raise FeedError(f"the {name} of {self.describe(row)} is {values[row]:g}; it must be {allowed}")


SYMBOLS: tuple[str, ...] = tuple(INDICES)
"""Index symbols by `index_code`."""


def index_code(name: str) -> int:
    """Return the code of the index a recording calls `name`.

    Raises:
        FeedError: It is none of the six.
    """
    index = find_index(name)
    if index is None:
        allowed = ", ".join("/".join((index.symbol, *index.aliases)) for index in INDICES.values())
        raise FeedError(f"unknown symbol {name!r}; allowed: {allowed}")
    return SYMBOLS.index(index.symbol)


def parse_instant(text: str, formats: Sequence[str], allowed: str) -> int:
    """Return microseconds since 1970-01-01 UTC of a time in India.

    Raises:
        FeedError: `text` follows none of `formats`; `allowed` says what does.
    """
    for pattern in formats:
        try:
            instant = datetime.strptime(text, pattern).replace(tzinfo=IST)
        except ValueError:
            continue
        # Some patterns also match shorter texts, which then mean another instant.
        if instant.strftime(pattern) == text:
            return int(instant.astimezone(UTC).timestamp()) * 1_000_000
    raise FeedError(f"bad timestamp {text!r}; needed: {allowed}")


def parse_expiry(text: str) -> int:
    """Return the ordinal of an expiry day such as `18-Aug-2026` or `2026-08-18`.

    Raises:
        FeedError: It is neither.
    """
    for pattern in ("%d-%b-%Y", "%Y-%m-%d"):
        try:
            return datetime.strptime(text, pattern).replace(tzinfo=IST).date().toordinal()
        except ValueError:
            continue
    raise FeedError(f"bad expiry {text!r}; needed: a day such as 18-Aug-2026")
