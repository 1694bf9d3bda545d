"""Every instrument the broker lists, each with a row of its own; what is listed later gets the next row."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import replace
from datetime import date
from pathlib import Path

from optrading.market.chain import Chain
from optrading.market.indices import INDICES
from optrading.testing.kite.instruments import (
    COLUMNS,
    INDEX_TOKENS,
    Instrument,
    contract,
    index_instrument,
    is_monthly,
    read_dump,
)


class InstrumentTable:
    """Every instrument there is, each with a row that it keeps: what is listed later gets the next one."""

    def __init__(self, indices: Iterable[str], dump: Path | None = None) -> None:
        """Hold `indices` and what a dump lists.

        Args:
            indices: Symbols.
            dump: The real broker's dump as CSV, whose tokens are then used; None makes tokens up.

        Raises:
            OSError: The dump cannot be read.
            ValueError: It is none.
        """
        self._instruments: list[Instrument] = []
        self._rows: dict[tuple[str, date | None, float, str], int] = {}
        self._row_of_token: dict[int, int] = {}
        self._row_of_symbol: dict[tuple[str, str], int] = {}
        for index in indices:
            self._add(index_instrument(index))
        if dump is not None:
            for instrument in read_dump(dump):
                self._add(instrument)

    def __len__(self) -> int:
        """Return the number of instruments."""
        return len(self._instruments)

    def __getitem__(self, row: int) -> Instrument:
        """Return the instrument of a row."""
        return self._instruments[row]

    def row_of_token(self, token: int) -> int | None:
        """Return the row of a token; None when nothing has it."""
        return self._row_of_token.get(token)

    def row_of_index(self, index: str) -> int:
        """Return the row of an index itself."""
        return self._row_of_token[INDEX_TOKENS[index][0]]

    def row_of_symbol(self, exchange: str, symbol: str) -> int | None:
        """Return the row of a trading symbol; None when nothing has it."""
        return self._row_of_symbol.get((exchange, symbol))

    def list_chain(self, chain: Chain) -> None:
        """List what of `chain` is not yet listed, with a future for each monthly expiry."""
        for expiry in chain.expiries:
            if is_monthly(expiry.expiry):
                self.list_contract(chain.index, expiry.expiry, 0.0, "FUT", expiry.lot_size)
            for strike_inr in expiry.strike_inr.tolist():
                for kind in ("CE", "PE"):
                    self.list_contract(chain.index, expiry.expiry, strike_inr, kind, expiry.lot_size)

    def list_contract(self, index: str, expiry: date, strike_inr: float, kind: str, lot_size: int) -> int:
        """Return the row of a contract, listed now if it was not; strike 0 and kind `FUT` is a future."""
        known = self._rows.get((index, expiry, strike_inr, kind))
        if known is not None:
            return known
        instrument = contract(index, expiry, strike_inr, kind, lot_size)
        while instrument.token in self._row_of_token:
            # Two contracts of one place, such as weeks that lie five years apart: the later one moves up.
            instrument = replace(instrument, token=(instrument.token + 256) % (1 << 32))
        return self._add(instrument)

    def widen(self, index: str, strikes: int) -> list[int]:
        """List `strikes` more strikes above and below the ladder of every expiry of `index`; return their tokens."""
        ladders: dict[date, set[float]] = {}
        lot_sizes: dict[date, int] = {}
        for instrument in self._instruments:
            if instrument.name == index and instrument.expiry is not None and instrument.strike_inr:
                ladders.setdefault(instrument.expiry, set()).add(instrument.strike_inr)
                lot_sizes[instrument.expiry] = instrument.lot_size
        tokens = []
        for expiry, ladder in ladders.items():
            known = sorted(ladder)
            step = known[1] - known[0] if len(known) > 1 else INDICES[index].strike_step_inr
            added = [
                edge + sign * step * (n + 1) for edge, sign in ((known[-1], 1), (known[0], -1)) for n in range(strikes)
            ]
            for strike_inr in (strike for strike in added if strike > 0):
                for kind in ("CE", "PE"):
                    row = self.list_contract(index, expiry, strike_inr, kind, lot_sizes[expiry])
                    tokens.append(self._instruments[row].token)
        return tokens

    def change_lot_size(self, index: str, lot_size: int) -> None:
        """Give every contract of `index` another lot size, as the exchange does now and then."""
        for row, instrument in enumerate(self._instruments):
            if instrument.name == index and instrument.expiry is not None:
                self._instruments[row] = replace(instrument, lot_size=lot_size)

    def dump(self, exchange: str, day: date) -> bytes:
        """Return the dump of an exchange, or of all when it is empty, as CSV: what has not expired before `day`."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(
            instrument.row()
            for instrument in self._instruments
            if instrument.exchange == (exchange or instrument.exchange)
            and (instrument.expiry is None or instrument.expiry >= day)
        )
        return text.getvalue().encode()

    def _add(self, instrument: Instrument) -> int:
        row = len(self._instruments)
        self._instruments.append(instrument)
        self._rows[instrument.key] = row
        self._row_of_token[instrument.token] = row
        self._row_of_symbol[instrument.exchange, instrument.symbol] = row
        return row
