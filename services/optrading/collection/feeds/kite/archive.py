"""The lists of instruments of every day, kept for ever: expired contracts stay known by their tokens."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from optrading.collection.feeds.base import FeedError
from optrading.collection.feeds.kite.instruments import Instruments, read_instruments
from optrading.common.files import write_atomically
from optrading.market.indices import INDICES, find_index

_COLUMNS = (
    *("instrument_token", "exchange_token", "tradingsymbol", "name", "last_price", "expiry", "strike", "tick_size"),
    *("lot_size", "instrument_type", "segment", "exchange"),
)
_INDEX_SEGMENT = "INDICES"
_KINDS = ("CE", "PE")

INDEX_TOKENS: Mapping[str, int] = {
    "NIFTY": 256265,
    "BANKNIFTY": 260105,
    "FINNIFTY": 257801,
    "MIDCPNIFTY": 288009,
    "SENSEX": 265,
    "BANKEX": 274441,
}
"""Tokens of the indices themselves, for a list that lacks them. The broker has not changed them since 2015."""


@dataclass(frozen=True, slots=True)
class Listing:
    """What was listed on one day.

    Attributes:
        day: The day.
        instruments: Options of the six indices.
        index_tokens: Token of each index.
    """

    day: date
    instruments: Instruments
    index_tokens: Mapping[str, int]


class InstrumentArchive:
    """One file a day, of our indices only. Blocking, for a thread."""

    def __init__(self, folder: Path) -> None:
        """Keep files below `folder`."""
        self._folder = folder / "instruments"

    def path(self, day: date) -> Path:
        """Return the file of `day`."""
        return self._folder / f"{day.isoformat()}.csv.gz"

    def save(self, day: date, rows: Iterable[Mapping[str, Any]]) -> Listing:
        """Keep what the broker listed on `day`; a later list of the same day takes the place of the earlier one.

        Raises:
            FeedError: The rows hold none of our options, or cannot be kept.
        """
        text = io.StringIO()
        writer = csv.DictWriter(text, _COLUMNS, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(row for row in rows if _is_ours(row))
        content = text.getvalue().encode()
        listing = _listing(day, content, "Kite's list of instruments")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            # The same rows are the same bytes: no time in it.
            write_atomically(self.path(day), gzip.compress(content, mtime=0), 0o600)
        except OSError as error:
            raise FeedError(f"{self.path(day)} cannot be written: {error.strerror}") from None
        return listing

    def days(self) -> list[date]:
        """Return the days that are kept, ascending."""
        return sorted(date.fromisoformat(path.name.removesuffix(".csv.gz")) for path in self._folder.glob("*.csv.gz"))

    def load(self, day: date) -> Listing | None:
        """Return the newest list of `day` or before; None when there is none.

        Raises:
            FeedError: The file is damaged.
        """
        known = [each for each in self.days() if each <= day]
        if not known:
            return None
        path = self.path(known[-1])
        try:
            content = gzip.decompress(path.read_bytes())
        except (OSError, EOFError) as error:
            raise FeedError(f"{path} cannot be read ({type(error).__name__})") from None
        return _listing(known[-1], content, str(path))


def _is_ours(row: Mapping[str, Any]) -> bool:
    if row.get("segment") == _INDEX_SEGMENT:
        return find_index(str(row.get("tradingsymbol"))) is not None
    return row.get("name") in INDICES and row.get("instrument_type") in _KINDS


def _listing(day: date, content: bytes, name: str) -> Listing:
    try:
        instruments = read_instruments(content)
    except FeedError as error:
        raise FeedError(f"{name}: {error}") from None
    tokens = dict(INDEX_TOKENS)
    for row in csv.DictReader(io.StringIO(content.decode())):
        index = find_index(row["tradingsymbol"]) if row["segment"] == _INDEX_SEGMENT else None
        if index is not None:
            tokens[index.symbol] = int(row["instrument_token"])
    return Listing(day, instruments, tokens)
