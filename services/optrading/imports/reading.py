"""Opens a file to import, whatever it is, and puts its legs together as chains; rows that cannot be are kept apart."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from optrading.collection.feeds.base import FeedError
from optrading.imports.bhavcopy import LEGACY_COLUMNS, UDIFF_COLUMNS, read_legacy, read_udiff
from optrading.imports.recorded import RECORDED_COLUMNS, read_nse_json, read_recorded
from optrading.imports.rows import Leg, Outcome, Reject, RowError
from optrading.market.chain import Chain, ExpiryChain, Legs, column
from optrading.market.strikes import atm_offsets

ALLOWED = (
    "allowed: a bhavcopy (legacy or UDiFF), a recording as CSV or Parquet, or NSE's option-chain JSON; also .gz, .zip"
)

ReadRow = Callable[[int, Mapping[str, str]], Outcome]


@dataclass(frozen=True, slots=True)
class ImportFile:
    """A file that was read.

    Attributes:
        name: Its name.
        kind: What it is.
        sha256: Of its content as it lies on disk.
        row_count: Rows in it.
        skipped_count: Rows of other instruments.
        rejects: Rows that cannot be imported.
        chains: In the order of time, then of index: always the same for the same content.
    """

    name: str
    kind: str
    sha256: str
    row_count: int
    skipped_count: int
    rejects: tuple[Reject, ...]
    chains: tuple[Chain, ...]


def read_import(path: Path, lot_size: int | None = None) -> ImportFile:
    """Read a file; blocks, about a second for 100,000 rows.

    Args:
        path: The file.
        lot_size: Units in one contract, for recordings; what the exchange had on their day unless given.

    Raises:
        FeedError: It cannot be read, or is none of the formats: one line.
    """
    try:
        stored = path.read_bytes()
        content = _unpacked(stored)
    except FileNotFoundError:
        raise FeedError(f"{path}: there is no such file; {ALLOWED}") from None
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        raise FeedError(f"{path}: it cannot be read ({error})") from None
    try:
        kind, rows = _rows(content, lot_size)
        legs, rejects, count, skipped = _sort_out(rows)
    except FeedError as error:
        raise FeedError(f"{path}: {error}") from None
    return ImportFile(
        path.name, kind, hashlib.sha256(stored).hexdigest(), count, skipped, tuple(rejects), tuple(_chains(legs))
    )


def _unpacked(content: bytes) -> bytes:
    if content.startswith(b"\x1f\x8b"):
        return gzip.decompress(content)
    if content.startswith(b"PK\x03\x04"):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = [name for name in archive.namelist() if not name.endswith("/")]
            if len(names) != 1:
                raise FeedError(f"the archive holds {len(names)} files; one is needed")
            return archive.read(names[0])
    return content


Rows = Iterator[tuple[int, str, Outcome | RowError]]


def _rows(content: bytes, lot_size: int | None) -> tuple[str, Rows]:
    if not content.strip():
        raise FeedError(f"the file is empty; {ALLOWED}")

    def recorded(line: int, row: Mapping[str, str]) -> Outcome:
        return read_recorded(line, row, lot_size)

    if content.startswith(b"PAR1"):
        return "recording (Parquet)", _read_table(_parquet_rows(content), recorded)
    if content.lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"{", b"[")):
        return "NSE option chain (JSON)", read_nse_json(content, lot_size)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise FeedError(f"this is no text and no Parquet; {ALLOWED}") from None
    header = [name.strip() for name in next(csv.reader(io.StringIO(text)), [])]
    for kind, needed, read in (
        ("legacy bhavcopy", LEGACY_COLUMNS, read_legacy),
        ("UDiFF bhavcopy", UDIFF_COLUMNS, read_udiff),
        ("recording (CSV)", RECORDED_COLUMNS, recorded),
    ):
        if needed <= set(header):
            return kind, _read_table(_csv_rows(text, header), read)
    raise FeedError(f"its columns are those of nothing known ({', '.join(header)[:200]}); {ALLOWED}")


def _csv_rows(text: str, header: Sequence[str]) -> Iterator[tuple[int, str, Mapping[str, str] | RowError]]:
    reader = csv.reader(io.StringIO(text))
    next(reader)
    for fields in reader:
        if not fields:
            continue
        raw = ",".join(fields)
        # The exchange ends its lines with a comma now and then.
        if len(fields) < len(header) or any(fields[len(header) :]):
            yield reader.line_num, raw, RowError(f"it has {len(fields)} fields, the header {len(header)}")
        else:
            yield reader.line_num, raw, dict(zip(header, fields, strict=False))


def _parquet_rows(content: bytes) -> Iterator[tuple[int, str, Mapping[str, str] | RowError]]:
    try:
        file = pq.ParquetFile(pa.BufferReader(content), page_checksum_verification=True)
        missing = RECORDED_COLUMNS - set(file.schema_arrow.names)
        if missing:
            raise FeedError(f"missing columns: {', '.join(sorted(missing))}")
        line = 0
        for batch in file.iter_batches():
            for row in batch.to_pylist():
                line += 1
                texts = {name: "" if value is None else str(value) for name, value in row.items()}
                yield line, ",".join(texts.values()), texts
    except (pa.ArrowException, OSError) as error:
        raise FeedError(f"the Parquet file is cut short or damaged ({error})") from None


def _read_table(rows: Iterator[tuple[int, str, Mapping[str, str] | RowError]], read: ReadRow) -> Rows:
    for line, raw, row in rows:
        if isinstance(row, RowError):
            yield line, raw, row
            continue
        try:
            yield line, raw, read(line, row)
        except RowError as error:
            yield line, raw, error


def _sort_out(rows: Rows) -> tuple[list[Leg], list[Reject], int, int]:
    legs: dict[tuple[object, ...], Leg] = {}
    rejects: list[Reject] = []
    count = skipped = 0
    for line, raw, outcome in rows:
        count += 1
        if isinstance(outcome, Leg):
            key = (outcome.event_time, outcome.index, outcome.expiry, outcome.strike_inr, outcome.is_put)
            if key in legs:
                rejects.append(Reject(line, f"the same leg as in line {legs[key].line}", raw))
            else:
                legs[key] = outcome
        elif isinstance(outcome, RowError):
            rejects.append(Reject(line, str(outcome), raw))
        elif isinstance(outcome, Reject):
            rejects.append(outcome)
        else:
            skipped += 1
    return list(legs.values()), rejects, count, skipped


def _chains(legs: Sequence[Leg]) -> Iterator[Chain]:
    by_chain: dict[tuple[datetime, str], dict[date, list[Leg]]] = defaultdict(lambda: defaultdict(list))
    for leg in legs:
        by_chain[leg.event_time, leg.index][leg.expiry].append(leg)
    for event_time, index in sorted(by_chain):
        expiries = by_chain[event_time, index]
        spot = next((leg.spot_inr for each in expiries.values() for leg in each if leg.spot_inr > 0), float("nan"))
        yield Chain(
            index=index,
            event_time=event_time,
            receive_time=datetime.now(UTC),
            spot_inr=spot,
            expiries=tuple(_expiry(day, expiries[day], spot) for day in sorted(expiries)),
            source="import",
        )


def _expiry(expiry: date, legs: Sequence[Leg], spot_inr: float) -> ExpiryChain:
    strikes = column(sorted({leg.strike_inr for leg in legs}))
    rows = {strike: row for row, strike in enumerate(strikes.tolist())}
    values = np.full((2, 6, len(strikes)), np.nan)
    for leg in legs:
        values[int(leg.is_put), :, rows[leg.strike_inr]] = (
            *(leg.last_inr, leg.bid_inr, leg.ask_inr, leg.volume_units),
            *(leg.open_interest_units, leg.open_interest_change_units),
        )
    return ExpiryChain(
        expiry=expiry,
        lot_size=max(leg.lot_size for leg in legs),
        strike_inr=strikes,
        call=Legs(*values[0]),
        put=Legs(*values[1]),
        atm_offset=atm_offsets(strikes, spot_inr),
    )
