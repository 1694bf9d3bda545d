"""Chains as Arrow rows and back, exactly: a row is one strike of one expiry at one instant.

An expiry without strikes is one row with a null strike, a chain without expiries one row with a null expiry, so that
nothing that was collected is lost by being empty. NaN stays NaN and is never null.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date

import numpy as np
import pyarrow as pa

from optrading.market.chain import LEG_COLUMNS, Chain, Completeness, ExpiryChain, Legs, Position, column
from optrading.market.codec import from_micros, to_micros
from optrading.market.quality import QualityFlag, no_flags

_INSTANT = pa.timestamp("us", tz="UTC")
_CALL = tuple(f"call_{name}" for name in LEG_COLUMNS)
_PUT = tuple(f"put_{name}" for name in LEG_COLUMNS)
_LEG_QUALITY = ("call_quality", "put_quality")
_COUNTS = ("wanted_leg_count", "known_leg_count", "flagged_leg_count", "open_gap_count")
_RATIO = "completeness_ratio"
_NO_ROW = column([np.nan])
_DAYS_BEFORE_1970 = date(1970, 1, 1).toordinal()

SCHEMA = pa.schema(
    [
        pa.field("event_time", _INSTANT, nullable=False),
        pa.field("receive_time", _INSTANT, nullable=False),
        pa.field("epoch", pa.int64(), nullable=False),
        pa.field("sequence", pa.int64(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("spot_inr", pa.float64(), nullable=False),
        pa.field("expiry", pa.date32()),
        pa.field("lot_size", pa.int64(), nullable=False),
        pa.field("buckets", pa.list_(pa.string()), nullable=False),
        pa.field("strike_inr", pa.float64()),
        pa.field("atm_offset", pa.int32(), nullable=False),
        *(pa.field(name, pa.float64(), nullable=False) for name in (*_CALL, *_PUT)),
        # Since format 2. Nullable: files of format 1 are read with nulls in them.
        *(pa.field(name, pa.uint16()) for name in (*_LEG_QUALITY, "chain_quality")),
        *(pa.field(name, pa.int32()) for name in _COUNTS),
        pa.field(_RATIO, pa.float64()),
    ],
    metadata={"optrading.format": "2"},
)
"""Columns of sealed files and of the unsealed tail; units are those of the contract."""

ADDED_COLUMNS: dict[str, str] = {
    **dict.fromkeys((*_LEG_QUALITY, "chain_quality"), "USMALLINT"),
    **dict.fromkeys(_COUNTS, "INTEGER"),
    _RATIO: "DOUBLE",
}
"""Columns that files of format 1 lack, with their types in SQL; null there."""


def rows_of(position: Position, chain: Chain) -> pa.RecordBatch:
    """Return `chain` as rows in the order of expiry and strike."""
    expiries = chain.expiries
    sizes = [max(1, len(expiry.strike_inr)) for expiry in expiries] or [1]
    total = sum(sizes)
    repeat = np.repeat(np.arange(len(sizes)), sizes)

    def constant(value: object, kind: pa.DataType) -> pa.Array:
        return pa.repeat(pa.scalar(value, kind), total)

    def spread(values: list[object], kind: pa.DataType) -> pa.Array:
        return pa.array(values, kind).take(pa.array(repeat))

    def joined(columns: Iterable[np.ndarray]) -> np.ndarray:
        return np.concatenate([values if len(values) else _NO_ROW for values in columns] or [_NO_ROW])

    def flags(sides: Iterable[Legs]) -> np.ndarray:
        return np.concatenate([legs.quality if len(legs.quality) else no_flags(1) for legs in sides] or [no_flags(1)])

    strikes = joined(expiry.strike_inr for expiry in expiries)
    offsets = joined(expiry.atm_offset for expiry in expiries)
    empty = np.repeat([not len(expiry.strike_inr) for expiry in expiries] or [True], sizes)
    return pa.record_batch(
        [
            constant(to_micros(chain.event_time), _INSTANT),
            constant(to_micros(chain.receive_time), _INSTANT),
            constant(position.epoch, pa.int64()),
            constant(position.sequence, pa.int64()),
            constant(chain.source, pa.string()),
            constant(chain.spot_inr, pa.float64()),
            spread([expiry.expiry for expiry in expiries] or [None], pa.date32()),
            spread([expiry.lot_size for expiry in expiries] or [0], pa.int64()),
            spread([list(expiry.buckets) for expiry in expiries] or [[]], pa.list_(pa.string())),
            pa.array(strikes, pa.float64(), mask=empty),
            pa.array(np.where(empty, 0, offsets).astype(np.int32)),
            *(pa.array(joined(e.call.columns()[i] for e in expiries)) for i in range(len(LEG_COLUMNS))),
            *(pa.array(joined(e.put.columns()[i] for e in expiries)) for i in range(len(LEG_COLUMNS))),
            *(pa.array(flags(legs)) for legs in ([e.call for e in expiries], [e.put for e in expiries])),
            constant(int(chain.quality), pa.uint16()),
            *(constant(value, pa.int32()) for value in _counts(chain.completeness)),
            constant(chain.completeness.ratio if chain.completeness else None, pa.float64()),
        ],
        schema=SCHEMA,
    )


def chains_of(index: str, batches: Iterable[pa.RecordBatch]) -> Iterator[list[tuple[Position, Chain]]]:
    """Put rows together again, a list of chains per batch and the last chain at the end.

    Args:
        index: Index symbol; rows do not carry it.
        batches: Rows with the columns of SCHEMA. Those of one chain stand together, by expiry and strike; a chain may
            be spread over several batches.
    """
    rest: list[pa.RecordBatch] = []
    for batch in batches:
        if not batch.num_rows:
            continue
        rows = pa.concat_batches([*rest, batch]) if rest else batch
        starts = _starts(_ints(rows, "epoch"), _ints(rows, "sequence"))
        # The last chain may go on in the next batch.
        rest = [rows.slice(starts[-1])]
        if len(starts) > 1:
            yield _assemble(index, rows.slice(0, starts[-1]), starts[:-1])
    for rows in rest:
        yield _assemble(index, rows, [0])


def _assemble(index: str, rows: pa.RecordBatch, starts: list[int]) -> list[tuple[Position, Chain]]:
    epochs, sequences = _ints(rows, "epoch"), _ints(rows, "sequence")
    event_times, receive_times = _ints(rows, "event_time"), _ints(rows, "receive_time")
    spots, sources, expiries = rows["spot_inr"], rows["source"], _ExpiryRows(rows)
    qualities = rows["chain_quality"].fill_null(0)
    return [
        (
            Position(int(epochs[start]), int(sequences[start])),
            Chain(
                index=index,
                event_time=from_micros(int(event_times[start])),
                receive_time=from_micros(int(receive_times[start])),
                spot_inr=spots[start].as_py(),
                expiries=expiries.between(start, end),
                source=sources[start].as_py(),
                quality=QualityFlag(qualities[start].as_py()),
                completeness=_completeness(rows, start),
            ),
        )
        for start, end in zip(starts, [*starts[1:], rows.num_rows], strict=True)
    ]


def _counts(completeness: Completeness | None) -> tuple[int | None, ...]:
    """Return the values of `_COUNTS`, null where nobody said."""
    if completeness is None:
        return (None,) * len(_COUNTS)
    return (
        completeness.wanted_leg_count,
        completeness.known_leg_count,
        completeness.flagged_leg_count,
        completeness.open_gap_count,
    )


def _completeness(rows: pa.RecordBatch, row: int) -> Completeness | None:
    wanted, known, flagged, open_gaps = (rows[name][row].as_py() for name in _COUNTS)
    if wanted is None:
        return None
    return Completeness(wanted, known, flagged, rows[_RATIO][row].as_py(), open_gaps)


class _ExpiryRows:
    """The columns of a batch that make up expiries, as numpy."""

    def __init__(self, rows: pa.RecordBatch) -> None:
        self._no_expiry = rows["expiry"].is_null().to_numpy(zero_copy_only=False)
        self._no_strike = rows["strike_inr"].is_null().to_numpy(zero_copy_only=False)
        self._days = rows["expiry"].cast(pa.int32()).fill_null(0).to_numpy()
        self._strikes = rows["strike_inr"].fill_null(np.nan).to_numpy()
        self._lots = rows["lot_size"].to_numpy()
        self._offsets = rows["atm_offset"].to_numpy()
        self._buckets = rows["buckets"]
        call_quality, put_quality = (rows[name].fill_null(0).to_numpy() for name in _LEG_QUALITY)
        self._calls = Legs(*(rows[name].to_numpy() for name in _CALL), quality=call_quality)
        self._puts = Legs(*(rows[name].to_numpy() for name in _PUT), quality=put_quality)

    def between(self, start: int, end: int) -> tuple[ExpiryChain, ...]:
        """Return the expiries of the chain in rows [start, end)."""
        if self._no_expiry[start]:
            return ()
        starts = [start + first for first in _starts(self._days[start:end])]
        return tuple(self._expiry(first, last) for first, last in zip(starts, [*starts[1:], end], strict=True))

    def _expiry(self, first: int, last: int) -> ExpiryChain:
        rows = slice(first, first if self._no_strike[first] else last)
        return ExpiryChain(
            expiry=date.fromordinal(_DAYS_BEFORE_1970 + int(self._days[first])),
            lot_size=int(self._lots[first]),
            strike_inr=self._strikes[rows],
            call=self._calls.take(rows),
            put=self._puts.take(rows),
            atm_offset=self._offsets[rows],
            buckets=tuple(self._buckets[first].as_py()),
        )


def _ints(rows: pa.RecordBatch, name: str) -> np.ndarray:
    values: np.ndarray = rows[name].cast(pa.int64()).to_numpy()
    return values


def _starts(*keys: np.ndarray) -> list[int]:
    """Return the rows at which any of `keys` differs from the row before; the first row always."""
    changed = np.zeros(len(keys[0]), dtype=np.bool_)
    changed[0] = True
    for key in keys:
        changed[1:] |= key[1:] != key[:-1]
    starts: list[int] = np.flatnonzero(changed).tolist()
    return starts
