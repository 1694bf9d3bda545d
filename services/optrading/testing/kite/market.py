"""What the broker's exchange says now: the present values of every instrument, moved on chain by chain."""

from __future__ import annotations

from datetime import date, datetime

import numpy as np
from numpy.typing import NDArray

from optrading.market.chain import Chain, ExpiryChain, Floats, Legs
from optrading.market.clock import trading_date
from optrading.testing.kite.instrument_table import InstrumentTable
from optrading.testing.kite.packets import VALUES, Values

Rows = NDArray[np.intp]
_NEWS = ("last", "volume", "interest", "bid", "ask")
"""What makes a tick when it changes; the rest follows from these."""


class Market:
    """Present values by row of the instrument table. A leg that a chain does not know stays as it was.

    Attributes:
        changed: Whether an instrument has changed since `settle`, by row.
        now: Newest event time, aware, UTC; None before the first chain.
    """

    def __init__(self, instruments: InstrumentTable) -> None:
        """Know nothing of any instrument; `apply` makes room for what is listed later."""
        self._instruments = instruments
        self._values: Values = np.zeros(0, dtype=VALUES)
        self.changed: NDArray[np.bool_] = np.zeros(0, dtype=np.bool_)
        self.now: datetime | None = None
        self._day: date | None = None
        self._rows: dict[tuple[str, date, bytes], tuple[Rows, Rows]] = {}
        self.make_room()

    def values(self, rows: Rows) -> Values:
        """Return the present values of these rows, a copy."""
        return self._values[rows]

    def make_room(self) -> None:
        """Hold every instrument of the table."""
        held, wanted = len(self._values), len(self._instruments)
        if held < wanted:
            added = np.zeros(wanted - held, dtype=VALUES)
            added["token"] = [self._instruments[row].token for row in range(held, wanted)]
            self._values = np.concatenate([self._values, added])
            self.changed = np.concatenate([self.changed, np.zeros(wanted - held, dtype=np.bool_)])

    def settle(self) -> None:
        """Begin to note changes anew."""
        self.changed[:] = False

    def apply(self, chain: Chain) -> None:
        """Take over what `chain` says, and list what it has that was not listed."""
        exchange_s = int(chain.event_time.timestamp())
        if (day := trading_date(chain.event_time)) != self._day:
            self._begin_day(day)
        self.now = chain.event_time if self.now is None else max(self.now, chain.event_time)
        spot = np.array([self._instruments.row_of_index(chain.index)], dtype=np.intp)
        unknown = np.full(1, np.nan)
        legs = Legs(np.array([chain.spot_inr]), unknown, unknown, unknown, unknown, unknown)
        self._take(spot, legs, exchange_s, lot_size=0)
        for expiry in chain.expiries:
            calls, puts = self._rows_of(chain, expiry)
            self._take(calls, expiry.call, exchange_s, expiry.lot_size)
            self._take(puts, expiry.put, exchange_s, expiry.lot_size)

    def _rows_of(self, chain: Chain, expiry: ExpiryChain) -> tuple[Rows, Rows]:
        key = (chain.index, expiry.expiry, expiry.strike_inr.tobytes())
        rows = self._rows.get(key)
        if rows is None:
            calls, puts = (
                np.array(
                    [
                        self._instruments.list_contract(chain.index, expiry.expiry, strike_inr, kind, expiry.lot_size)
                        for strike_inr in expiry.strike_inr.tolist()
                    ],
                    dtype=np.intp,
                )
                for kind in ("CE", "PE")
            )
            rows = self._rows[key] = (calls, puts)
            self.make_room()
        return rows

    def _take(self, rows: Rows, legs: Legs, exchange_s: int, lot_size: int) -> None:
        known = legs.known()
        rows, legs = rows[known], legs.take(known)
        before = self._values[rows]
        after = before.copy()
        after["last"], after["bid"], after["ask"] = (paise(v) for v in (legs.last_inr, legs.bid_inr, legs.ask_inr))
        after["volume"] = _whole(legs.volume_units)
        after["interest"] = _whole(legs.open_interest_units)
        news = np.zeros(len(rows), dtype=np.bool_)
        for name in _NEWS:
            news |= after[name] != before[name]
        traded = (after["last"] > 0) & ((after["volume"] != before["volume"]) | (after["last"] != before["last"]))
        after["last_trade_s"] = np.where(traded, exchange_s, before["last_trade_s"])
        after["last_quantity"] = np.where(after["last"] > 0, lot_size, 0)
        after["average"] = _average(before, after)
        after["buy_quantity"] = np.where(after["bid"] > 0, lot_size, 0)
        after["sell_quantity"] = np.where(after["ask"] > 0, lot_size, 0)
        _widen(after, "last", "high", "low")
        _widen(after, "interest", "interest_high", "interest_low")
        after["open"] = np.where(before["open"] == 0, after["last"], before["open"])
        after["exchange_s"] = np.where(news, exchange_s, before["exchange_s"])
        self._values[rows] = after
        self.changed[rows] |= news

    def _begin_day(self, day: date) -> None:
        self._day = day
        self._values["close"] = self._values["last"]
        for name in ("open", "high", "low", "average", "interest_high", "interest_low"):
            self._values[name] = 0


def paise(values_inr: Floats) -> NDArray[np.int64]:
    """Return rupees as whole paise, halves to even; 0 for what is not known."""
    return _whole(values_inr * 100)


def _whole(values: Floats) -> NDArray[np.int64]:
    return np.rint(np.nan_to_num(values)).astype(np.int64)


def _average(before: Values, after: Values) -> NDArray[np.int64]:
    """Return the average price of the day, weighted by what was traded since the last chain."""
    grown = np.maximum(after["volume"] - before["volume"], 0)
    whole = before["average"] * np.maximum(after["volume"] - grown, 0) + after["last"] * grown
    average = np.rint(whole / np.maximum(after["volume"], 1)).astype(np.int64)
    return np.where(before["average"] == 0, after["last"], average)


def _widen(values: Values, name: str, high: str, low: str) -> None:
    value = values[name]
    values[high] = np.maximum(values[high], value)
    values[low] = np.where(values[low] == 0, value, np.where(value == 0, values[low], np.minimum(values[low], value)))
