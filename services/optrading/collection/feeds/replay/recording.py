"""A recording in memory: sorted once, laid out as strike ladders, cut into chains without copying."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime

import numpy as np
from numpy.typing import NDArray

from optrading.collection.feeds.base import FeedError
from optrading.collection.feeds.replay.rows import SYMBOLS, Int64s, Rows
from optrading.market.chain import Chain, ExpiryChain, Floats, Legs
from optrading.market.clock import trading_date
from optrading.market.codec import from_micros
from optrading.market.indices import lot_size
from optrading.market.strikes import atm_offsets

_ROUNDING_UNITS = 1e-6
"""Contracts times lot size this near to a whole number of units is that number: contracts come as rounded fractions."""


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """Chains of one or several indices in the order of time; at one instant, in the order of `INDICES`.

    Attributes:
        name: Name of the file.
        identity: SHA-256 of the file's content, hexadecimal.
        indices: Symbols that occur.
        row_count: Legs over all instants.
    """

    name: str
    identity: str
    indices: tuple[str, ...]
    row_count: int
    _index_code: Int64s
    _event_micros: Int64s
    _spot_inr: Floats
    _lot_size: Int64s
    # Chain i has the expiries [_expiry_start[i], _expiry_start[i + 1]); expiry e the strikes [_strike_start[e], ...).
    _expiry_start: Int64s
    _expiry_ordinal: Int64s
    _strike_start: Int64s
    _strike_inr: Floats
    # Shape (2 sides, 6 columns of Legs, strikes).
    _values: Floats

    def __len__(self) -> int:
        """Return the number of chains."""
        return len(self._event_micros)

    def index(self, number: int) -> str:
        """Return the index of chain `number`, which counts from 0."""
        return SYMBOLS[int(self._index_code[number])]

    def event_time(self, number: int) -> datetime:
        """Return the instant of chain `number`, UTC."""
        return from_micros(int(self._event_micros[number]))

    def usual_gap_s(self) -> float:
        """Return the median time between instants, seconds; 60 when there is but one instant."""
        gaps = np.diff(np.unique(self._event_micros))
        return float(np.median(gaps)) / 1e6 if len(gaps) else 60.0

    def chain(self, number: int, receive_time: datetime, source: str) -> Chain:
        """Return chain `number` as received at `receive_time`; its columns are views into the recording."""
        spot_inr = float(self._spot_inr[number])
        return Chain(
            index=self.index(number),
            event_time=self.event_time(number),
            receive_time=receive_time,
            spot_inr=spot_inr,
            expiries=tuple(self._expiries(number, spot_inr)),
            source=source,
        )

    def _expiries(self, number: int, spot_inr: float) -> Iterator[ExpiryChain]:
        for expiry in range(self._expiry_start[number], self._expiry_start[number + 1]):
            rows = slice(int(self._strike_start[expiry]), int(self._strike_start[expiry + 1]))
            strike_inr = self._strike_inr[rows]
            yield ExpiryChain(
                expiry=date.fromordinal(int(self._expiry_ordinal[expiry])),
                lot_size=int(self._lot_size[number]),
                strike_inr=strike_inr,
                call=Legs(*self._values[0, :, rows]),
                put=Legs(*self._values[1, :, rows]),
                atm_offset=atm_offsets(strike_inr, spot_inr),
            )


def build_recording(rows: Rows, *, name: str, identity: str, lot_size_units: int | None = None) -> Recording:
    """Lay out `rows` as chains.

    Args:
        rows: Checked rows, in any order.
        name: Name of the file.
        identity: SHA-256 of its content.
        lot_size_units: Units in one contract on that day; the known lot sizes of the exchanges unless given.

    Raises:
        FeedError: A leg occurs twice at one instant, or the lot size of that day is not known.
    """
    order = np.lexsort((rows.is_put, rows.strike_inr, rows.expiry_ordinal, rows.index_code, rows.event_micros))
    index_code, event_micros = rows.index_code[order], rows.event_micros[order]
    expiry_ordinal, strike_inr, is_put = rows.expiry_ordinal[order], rows.strike_inr[order], rows.is_put[order]

    begins_chain = _changes(event_micros) | _changes(index_code)
    begins_expiry = begins_chain | _changes(expiry_ordinal)
    begins_strike = begins_expiry | _changes(strike_inr)
    repeated = ~(begins_strike | _changes(is_put.astype(np.int64)))
    if repeated.any():
        row = int(order[np.argmax(repeated)])
        raise FeedError(f"{rows.describe(row)} is there twice; a leg has one row an instant")

    chain_rows = np.flatnonzero(begins_chain)
    expiry_rows = np.flatnonzero(begins_expiry)
    strike_of_row = np.cumsum(begins_strike) - 1
    chain_of_row = np.cumsum(begins_chain) - 1
    lots = _lot_sizes(index_code[chain_rows], event_micros[chain_rows], lot_size_units)
    lot_of_row = lots[chain_of_row]

    strike_count = int(strike_of_row[-1]) + 1
    values = np.full((2, 6, strike_count), np.nan)
    for column, recorded in enumerate(
        (
            _price(rows.last_inr[order]),
            _price(rows.bid_inr[order]),
            _price(rows.ask_inr[order]),
            _units(rows.volume_contracts[order], lot_of_row),
            _units(rows.open_interest_contracts[order], lot_of_row),
            _units(rows.open_interest_change_contracts[order], lot_of_row),
        )
    ):
        values[is_put.astype(np.intp), column, strike_of_row] = recorded

    chain_count = len(chain_rows)
    recording = Recording(
        name=name,
        identity=identity,
        indices=tuple(SYMBOLS[code] for code in np.unique(index_code)),
        row_count=len(rows),
        _index_code=index_code[chain_rows],
        _event_micros=event_micros[chain_rows],
        _spot_inr=_first_known(_price(rows.spot_inr[order]), chain_of_row, chain_count),
        _lot_size=lots,
        _expiry_start=np.searchsorted(expiry_rows, np.append(chain_rows, len(rows))).astype(np.int64),
        _expiry_ordinal=expiry_ordinal[expiry_rows],
        _strike_start=np.append(strike_of_row[expiry_rows], strike_count).astype(np.int64),
        _strike_inr=strike_inr[begins_strike],
        _values=values,
    )
    # Chains are views of these: nobody downstream may write into the recording.
    recording._values.setflags(write=False)
    recording._strike_inr.setflags(write=False)
    return recording


def _changes(values: Int64s | Floats) -> NDArray[np.bool_]:
    """Return which rows differ from the one before; the first one does."""
    changed = np.ones(len(values), dtype=np.bool_)
    np.not_equal(values[1:], values[:-1], out=changed[1:])
    return changed


def _price(values: Floats) -> Floats:
    """Return `values` with NaN for 0: exchanges send 0 where nothing traded or nobody quotes."""
    return np.where(values == 0, np.nan, values)


def _units(contracts: Floats, lots: Int64s) -> Floats:
    units = contracts * lots
    whole = np.rint(units)
    return np.where(np.abs(units - whole) <= _ROUNDING_UNITS, whole, units)


def _first_known(values: Floats, group: NDArray[np.intp], group_count: int) -> Floats:
    """Return the first value of each group that is not NaN, NaN where there is none."""
    known = np.flatnonzero(~np.isnan(values))[::-1]
    first = np.full(group_count, np.nan)
    first[group[known]] = values[known]  # of several rows of a group the last assigned stays: the earliest row
    return first


def _lot_sizes(index_code: Int64s, event_micros: Int64s, override: int | None) -> Int64s:
    if override is not None:
        return np.full(len(index_code), override, dtype=np.int64)
    lots = np.empty(len(index_code), dtype=np.int64)
    for number, (code, micros) in enumerate(zip(index_code.tolist(), event_micros.tolist(), strict=True)):
        symbol, day = SYMBOLS[code], trading_date(from_micros(micros))
        lots[number] = lot_size(symbol, day)
        if not lots[number]:
            raise FeedError(f"the lot size of {symbol} on {day} is not known; set REPLAY_LOT_SIZE to it")
    return lots
