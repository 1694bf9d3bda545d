"""Kite's instrument dump: which contracts are listed, by index and expiry, with their tokens and lot sizes.

Contracts are known by token, expiry, strike and kind, each a column of the dump. Trading symbols are never parsed.
"""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from optrading.collection.feeds.base import FeedError
from optrading.market.chain import Floats, column
from optrading.market.indices import INDICES

Tokens = NDArray[np.int64]

_GZIP_MAGIC = b"\x1f\x8b"
_NEEDED = ("instrument_token", "name", "expiry", "strike", "lot_size", "instrument_type", "exchange")
_KINDS = ("CE", "PE")
_EXCHANGES = {"NSE": "NFO", "BSE": "BFO"}
"""Kite's name of the derivatives of each exchange."""


@dataclass(frozen=True, slots=True)
class _Contract:
    """A row that is an option of one of the indices."""

    line: int
    index: str
    expiry: date
    strike_inr: float
    kind: str
    token: int
    lot_size: int


@dataclass(frozen=True, slots=True, eq=False)
class Ladder:
    """The listed contracts of one expiry.

    Attributes:
        expiry: Expiry day.
        lot_size: Units in one contract of this expiry.
        strike_inr: Listed strikes, rupees, strictly ascending, shape (N,).
        call_token: Kite's instrument tokens of the calls, shape (N,); 0 where only the put is listed.
        put_token: Those of the puts, shape (N,); 0 where only the call is listed.
    """

    expiry: date
    lot_size: int
    strike_inr: Floats
    call_token: Tokens
    put_token: Tokens


class Instruments:
    """What one dump lists of the six indices."""

    def __init__(self, ladders: Mapping[str, Sequence[Ladder]]) -> None:
        """Take the ladders of each index."""
        self._ladders = {index: tuple(sorted(each, key=lambda one: one.expiry)) for index, each in ladders.items()}

    @property
    def indices(self) -> tuple[str, ...]:
        """Return the indices that have contracts, in the platform's order."""
        return tuple(index for index in INDICES if index in self._ladders)

    def ladders(self, index: str) -> tuple[Ladder, ...]:
        """Return the expiries of `index`, ascending; none when nothing of it is listed."""
        return self._ladders.get(index, ())

    def expiries(self, index: str) -> tuple[date, ...]:
        """Return the listed expiries of `index`, ascending."""
        return tuple(ladder.expiry for ladder in self.ladders(index))


def read_instruments(source: Path | bytes) -> Instruments:
    """Read a dump, as CSV or gzipped; blocks, about 0.1 seconds for 40,000 rows.

    Rows of other underlyings, futures and stocks are passed over without a look at their values.

    Args:
        source: The file, or its content.

    Raises:
        FeedError: It cannot be read, is no dump, or a row of ours cannot be: one line that names the file's line.
    """
    name = str(source) if isinstance(source, Path) else "instruments"
    try:
        content = source.read_bytes() if isinstance(source, Path) else source
        if content.startswith(_GZIP_MAGIC):
            content = gzip.decompress(content)
        contracts = list(_contracts(content.decode("utf-8-sig")))
    except FileNotFoundError:
        raise FeedError(f"{name}: there is no such file") from None
    except (OSError, EOFError, zlib.error) as error:
        raise FeedError(f"{name}: it cannot be read ({error})") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise FeedError(f"{name}: it is no instrument dump ({error})") from None
    except ValueError as error:
        raise FeedError(f"{name}: {error}") from None
    if not contracts:
        raise FeedError(f"{name}: no option of {', '.join(INDICES)} is in it")
    try:
        return _arrange(contracts)
    except ValueError as error:
        raise FeedError(f"{name}: {error}") from None


def _contracts(text: str) -> Iterator[_Contract]:
    """Yield the options of the six indices.

    Raises:
        ValueError: Columns are missing, or a row cannot be read.
    """
    rows = csv.reader(io.StringIO(text, newline=""))
    header = [title.strip() for title in next(rows, [])]
    missing = [title for title in _NEEDED if title not in header]
    if missing:
        raise ValueError(f"it is no instrument dump: the columns {', '.join(missing)} are missing")
    places = [header.index(title) for title in _NEEDED]
    for row in rows:
        if not row:
            continue
        if len(row) != len(header):
            raise ValueError(f"line {rows.line_num}: it has {len(row)} of {len(header)} columns")
        token, name, expiry, strike, lot_size, kind, exchange = (row[place].strip() for place in places)
        index = INDICES.get(name)
        if index is None or kind not in _KINDS or exchange != _EXCHANGES[index.exchange]:
            continue
        try:
            contract = _Contract(
                rows.line_num, name, date.fromisoformat(expiry), float(strike), kind, int(token), int(lot_size)
            )
        except ValueError as error:
            raise ValueError(f"line {rows.line_num}: {error}") from None
        if not (contract.token > 0 and contract.lot_size > 0 and 0 < contract.strike_inr < float("inf")):
            raise ValueError(f"line {rows.line_num}: token, strike and lot_size must be greater than 0")
        yield contract


def _arrange(contracts: Sequence[_Contract]) -> Instruments:
    """Return the contracts in ladders.

    Raises:
        ValueError: A token or a contract occurs twice, or an expiry has two lot sizes.
    """
    tokens: dict[int, _Contract] = {}
    expiries: dict[tuple[str, date], dict[tuple[str, float], _Contract]] = defaultdict(dict)
    for contract in contracts:
        legs = expiries[contract.index, contract.expiry]
        leg = (contract.kind, contract.strike_inr)
        twin = tokens.get(contract.token) or legs.get(leg)
        if twin is not None:
            raise ValueError(f"line {contract.line}: its token or its contract is in line {twin.line} already")
        first = next(iter(legs.values()), contract)
        if first.lot_size != contract.lot_size:
            raise ValueError(
                f"line {contract.line}: lot size {contract.lot_size}, but {first.lot_size} for the same expiry in line"
                f" {first.line}"
            )
        tokens[contract.token] = legs[leg] = contract
    ladders: dict[str, list[Ladder]] = defaultdict(list)
    for (index, _), legs in expiries.items():
        ladders[index].append(_ladder(legs))
    return Instruments(ladders)


def _ladder(legs: Mapping[tuple[str, float], _Contract]) -> Ladder:
    strikes = sorted({strike_inr for _, strike_inr in legs})
    call_token, put_token = (
        np.array([legs[kind, k].token if (kind, k) in legs else 0 for k in strikes], dtype=np.int64) for kind in _KINDS
    )
    one = next(iter(legs.values()))
    return Ladder(one.expiry, one.lot_size, column(strikes), call_token, put_token)
