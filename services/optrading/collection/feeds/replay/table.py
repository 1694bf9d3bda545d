"""Reads a recorded table, Parquet or CSV, with one row per leg and instant."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from optrading.collection.feeds.base import FeedError
from optrading.collection.feeds.replay.rows import Int64s, Rows, index_code, parse_expiry, parse_instant
from optrading.market.chain import Floats

_KEY_TEXTS = ("timestamp", "symbol", "expiry", "option_type")
_NUMBERS = ("strike", "spot", "ltp", "volume", "oi")
NEEDED_COLUMNS: tuple[str, ...] = ("timestamp", "symbol", "expiry", "strike", "option_type", *_NUMBERS[1:])
"""Columns without which a table is no recording."""
OPTIONAL_COLUMNS: tuple[str, ...] = ("oi_chg", "bid", "ask")
"""Columns that are read when they are there; all others are left alone."""

_OPTION_TYPES = {"CE": 0, "PE": 1}


def read_parquet(content: bytes) -> Rows:
    """Read the bytes of a Parquet file.

    Raises:
        FeedError: It is cut short or damaged, lacks columns, or holds what cannot be read.
    """
    try:
        # Whoever wrote page checksums wants them compared; pyarrow does not unless told.
        file = pq.ParquetFile(pa.BufferReader(content), page_checksum_verification=True)
        present = _present(file.schema_arrow.names)
        table = file.read(columns=present)
    except (pa.ArrowException, OSError) as error:
        raise FeedError(f"the Parquet file is cut short or damaged ({error})") from None
    return _to_rows(table)


def read_csv(content: bytes) -> Rows:
    """Read the bytes of a CSV file with a header line, UTF-8.

    Raises:
        FeedError: A line has more or fewer fields than the header, columns lack, or a value cannot be read.
    """
    header = content.partition(b"\n")[0].decode("utf-8-sig", errors="replace")
    present = _present(name for line in csv.reader([header.rstrip("\r")]) for name in line)
    types = {name: pa.string() if name in _KEY_TEXTS else pa.float64() for name in present}
    options = pa.csv.ConvertOptions(column_types=types, include_columns=present, strings_can_be_null=True)
    try:
        table = pa.csv.read_csv(pa.BufferReader(content), convert_options=options)
    except pa.ArrowException as error:
        raise FeedError(f"the CSV cannot be read ({error})") from None
    return _to_rows(table)


def _present(names: Iterable[str]) -> list[str]:
    """Return the columns to read, or say which are missing."""
    names = list(names)
    missing = [name for name in NEEDED_COLUMNS if name not in names]
    if missing:
        raise FeedError(f"missing columns: {', '.join(missing)}; needed: {', '.join(NEEDED_COLUMNS)}")
    wanted = [*NEEDED_COLUMNS, *(name for name in OPTIONAL_COLUMNS if name in names)]
    twice = [name for name in wanted if names.count(name) > 1]
    if twice:
        raise FeedError(f"columns that are there twice: {', '.join(twice)}; each may be there once")
    return wanted


def _to_rows(table: pa.Table) -> Rows:
    if not table.num_rows:
        raise FeedError("the recording has no rows")
    rows = Rows(
        index_code=_codes(table, "symbol", index_code),
        event_micros=_codes(table, "timestamp", _parse_timestamp),
        expiry_ordinal=_codes(table, "expiry", parse_expiry),
        strike_inr=_numbers(table, "strike"),
        is_put=_codes(table, "option_type", _parse_option_type).astype(np.bool_),
        spot_inr=_numbers(table, "spot"),
        last_inr=_numbers(table, "ltp"),
        bid_inr=_numbers(table, "bid"),
        ask_inr=_numbers(table, "ask"),
        volume_contracts=_numbers(table, "volume"),
        open_interest_contracts=_numbers(table, "oi"),
        open_interest_change_contracts=_numbers(table, "oi_chg"),
    )
    rows.check()
    return rows


def _codes(table: pa.Table, name: str, parse: Callable[[str], int]) -> Int64s:
    """Return `parse` of each text of a column; each different text is parsed once."""
    try:
        encoded = pc.dictionary_encode(table[name].cast(pa.string())).combine_chunks()
    except pa.ArrowException as error:
        raise FeedError(f"column {name} holds {table[name].type}, not text ({error})") from None
    if encoded.null_count:
        row = pc.index(pc.is_null(encoded), True).as_py()
        raise FeedError(f"column {name} is empty in row {row + 1}; every row needs it")
    parsed = np.array([parse(text.strip()) for text in encoded.dictionary.to_pylist()], dtype=np.int64)
    codes: Int64s = parsed[encoded.indices.to_numpy(zero_copy_only=False)]
    return codes


def _numbers(table: pa.Table, name: str) -> Floats:
    if name not in table.column_names:
        return np.full(table.num_rows, np.nan)
    try:
        values: Floats = table[name].cast(pa.float64(), safe=False).to_numpy()
    except pa.ArrowException as error:
        raise FeedError(f"column {name} holds {table[name].type}, not numbers ({error})") from None
    return values


def _parse_timestamp(text: str) -> int:
    return parse_instant(text, ("%Y%m%d%H%M", "%Y%m%d%H%M%S"), "YYYYMMDDHHMM or YYYYMMDDHHMMSS, Indian time")


def _parse_option_type(text: str) -> int:
    code = _OPTION_TYPES.get(text.upper())
    if code is None:
        raise FeedError(f"unknown option_type {text!r}; allowed: CE, PE")
    return code
