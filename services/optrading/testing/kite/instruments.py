"""The broker's instruments: rows of its dump, with symbols and tokens as the exchanges make them."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from optrading.market.indices import INDICES

NSE_SEGMENT, NFO_SEGMENT, BSE_SEGMENT, BFO_SEGMENT, INDEX_SEGMENT = 1, 2, 4, 5, 9
"""Last byte of an instrument token."""

INDEX_TOKENS = {
    "NIFTY": (256265, "NIFTY 50"),
    "BANKNIFTY": (260105, "NIFTY BANK"),
    "FINNIFTY": (257801, "NIFTY FIN SERVICE"),
    "MIDCPNIFTY": (288009, "NIFTY MID SELECT"),
    "SENSEX": (265, "SENSEX"),
    "BANKEX": (274441, "BANKEX"),
}
"""Token and trading symbol of the indices themselves, as the real broker has them."""

COLUMNS = (
    "instrument_token",
    "exchange_token",
    "tradingsymbol",
    "name",
    "last_price",
    "expiry",
    "strike",
    "tick_size",
    "lot_size",
    "instrument_type",
    "segment",
    "exchange",
)
_MONTH_LETTERS = "123456789OND"
_SMALLEST_STEP_INR = 25
_LISTED_STRIKES = 1 << 12
_LISTED_WEEKS = 1 << 8


@dataclass(frozen=True, slots=True)
class Instrument:
    """One row of the dump.

    Attributes:
        token: Instrument token; its last byte is the segment.
        symbol: Trading symbol.
        name: Index, or what else it is on.
        expiry: Expiry day; None for what does not expire.
        strike_inr: Strike, rupees; 0 for what has none.
        tick_size_inr: Least difference of two prices, rupees.
        lot_size: Units in one contract.
        kind: `CE`, `PE`, `FUT` or `EQ`.
        segment: Such as `NFO-OPT`.
        exchange: `NFO`, `BFO`, `NSE` or `BSE`.
    """

    token: int
    symbol: str
    name: str
    expiry: date | None
    strike_inr: float
    tick_size_inr: float
    lot_size: int
    kind: str
    segment: str
    exchange: str

    @property
    def key(self) -> tuple[str, date | None, float, str]:
        """Return what the instrument is, whatever its token."""
        return (self.name, self.expiry, self.strike_inr, self.kind)

    def row(self) -> tuple[object, ...]:
        """Return its values in the order of `COLUMNS`."""
        expiry = self.expiry.isoformat() if self.expiry else ""
        return (
            self.token,
            self.token >> 8,
            self.symbol,
            self.name,
            "0.0",
            expiry,
            f"{self.strike_inr:.1f}",
            f"{self.tick_size_inr:g}",
            self.lot_size,
            self.kind,
            self.segment,
            self.exchange,
        )


def index_instrument(index: str) -> Instrument:
    """Return an index itself, which ticks and cannot be traded."""
    token, symbol = INDEX_TOKENS[index]
    return Instrument(token, symbol, index, None, 0.0, 0.0, 0, "EQ", "INDICES", INDICES[index].exchange)


def contract(index: str, expiry: date, strike_inr: float, kind: str, lot_size: int) -> Instrument:
    """Return an option, or with kind `FUT` and strike 0 a future, with a token that follows from the contract alone."""
    exchange, segment = ("NFO", NFO_SEGMENT) if INDICES[index].exchange == "NSE" else ("BFO", BFO_SEGMENT)
    return Instrument(
        token=_exchange_token(index, expiry, strike_inr, kind) << 8 | segment,
        symbol=_trading_symbol(index, expiry, strike_inr, kind),
        name=index,
        expiry=expiry,
        strike_inr=strike_inr,
        tick_size_inr=0.05,
        lot_size=lot_size,
        kind=kind,
        segment=f"{exchange}-{'FUT' if kind == 'FUT' else 'OPT'}",
        exchange=exchange,
    )


def is_monthly(expiry: date) -> bool:
    """Tell whether an expiry is the last of its month, as weekdays go; holidays are not known here."""
    return (expiry + timedelta(days=7)).month != expiry.month


def read_dump(path: Path) -> Iterator[Instrument]:
    """Yield the instruments of a dump of the real broker.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is no dump.
    """
    with path.open(newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file)
        if set(COLUMNS) - set(rows.fieldnames or ()):
            raise ValueError(f"{path}: this is no instrument dump; its columns are {', '.join(COLUMNS)}")
        for row in rows:
            yield Instrument(
                token=int(row["instrument_token"]),
                symbol=row["tradingsymbol"],
                name=row["name"],
                expiry=date.fromisoformat(row["expiry"]) if row["expiry"] else None,
                strike_inr=float(row["strike"]),
                tick_size_inr=float(row["tick_size"]),
                lot_size=int(row["lot_size"]),
                kind=row["instrument_type"],
                segment=row["segment"],
                exchange=row["exchange"],
            )


def _exchange_token(index: str, expiry: date, strike_inr: float, kind: str) -> int:
    """Return 24 bits that follow from the contract alone: 3 of the index, 8 of the week, 12 of the strike, 1 the side.

    A future takes the place of a strike of 0, which no option has.
    """
    place = list(INDICES).index(index) + 1
    week = (expiry.toordinal() - 1) // 7 % _LISTED_WEEKS
    strike = round(strike_inr / _SMALLEST_STEP_INR) % _LISTED_STRIKES
    return ((place * _LISTED_WEEKS + week) * _LISTED_STRIKES + strike) * 2 + (kind == "PE")


def _trading_symbol(index: str, expiry: date, strike_inr: float, kind: str) -> str:
    """Return a symbol as the exchange's: the last expiry of a month has the month's name, a weekly one its day."""
    strike = "" if kind == "FUT" else f"{strike_inr:.10g}"
    month = f"{expiry:%b}".upper() if is_monthly(expiry) else f"{_MONTH_LETTERS[expiry.month - 1]}{expiry:%d}"
    return f"{index}{expiry:%y}{month}{strike}{kind}"
