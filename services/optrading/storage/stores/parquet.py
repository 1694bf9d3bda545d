"""Sealed files: written beside their place, on disk before they are named, read back before they are believed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from optrading.common.errors import DataLoss
from optrading.market.chain import Position
from optrading.storage.stores.catalog import SealedFile
from optrading.storage.stores.columns import ADDED_COLUMNS, SCHEMA

CHAINS = "chains"
"""Folder of sealed files below the state folder."""

SUFFIX = ".parquet"
TEMPORARY_SUFFIX = ".unsealed"
"""Ends the name of a file that is being written. Nothing reads it; a start removes it."""

_ROW_GROUP_ROWS = 32_768  # about two minutes of a whole NIFTY chain per second: what a short range has to read
_COMPRESSION_LEVEL = 3  # level 9 buys 2 % on sorted rows and costs several times the CPU
_DICTIONARY_COLUMNS = [
    *("epoch", "source", "expiry", "lot_size", "buckets.list.element", "strike_inr", "atm_offset"),
    *ADDED_COLUMNS,  # nearly always the same value
]

# Neighbouring strikes share sign, exponent and leading digits: bytes of one weight together compress better.
_ENCODINGS = {
    name: "BYTE_STREAM_SPLIT"
    for name in SCHEMA.names
    if name.startswith(("call_", "put_")) and name not in ADDED_COLUMNS
}


class SealError(Exception):
    """What was written is not what was to be written."""


class Sealable(Protocol):
    """A chain that can be sealed."""

    @property
    def position(self) -> Position:
        """Return its place."""
        ...

    @property
    def event_time_us(self) -> int:
        """Return its event time, microseconds since 1970 UTC."""
        ...

    @property
    def rows(self) -> pa.RecordBatch:
        """Return its rows."""
        ...


def path_of(index: str, day: date, first: Position, last: Position) -> str:
    """Return where the chains of `index` from `first` to `last`, of one epoch and date, are sealed."""
    name = f"{first.epoch}-{first.sequence}-{last.sequence}{SUFFIX}"
    return f"{CHAINS}/index={index}/date={day.isoformat()}/{name}"


def positions_of(path: str) -> tuple[str, Position, Position] | None:
    """Return index, first and last position from a path that `path_of` made; None for any other."""
    try:
        chains, index, _, name = Path(path).parts
        epoch, first, last = (int(part) for part in name.removesuffix(SUFFIX).split("-"))
    except ValueError:
        return None
    return (index.removeprefix("index="), Position(epoch, first), Position(epoch, last)) if chains == CHAINS else None


def seal(directory: Path, index: str, day: date, chains: Sequence[Sealable]) -> SealedFile:
    """Write `chains` into a file that will not change any more; blocks, for a thread of its own.

    A crash leaves a file with TEMPORARY_SUFFIX, or a whole file that the catalog does not list; never half a file.

    Args:
        directory: The state folder.
        index: Index symbol.
        day: Trading date of all the chains.
        chains: Of one epoch, in the order of their positions, at least one.

    Raises:
        SealError: What was read back differs from what was written.
        OSError: The file cannot be written.
    """
    ordered = sorted(chains, key=lambda chain: (chain.event_time_us, chain.position))
    table = pa.Table.from_batches([chain.rows for chain in ordered], schema=SCHEMA)
    first, last = chains[0].position, chains[-1].position
    path = path_of(index, day, first, last)
    target = directory / path
    temporary = target.with_name(target.name + TEMPORARY_SUFFIX)
    _make_folders(directory, target.parent)
    content = _serialize(table)
    digest = hashlib.sha256(content).hexdigest()
    try:
        _write_durably(temporary, content)
        _compare(temporary, digest, table)
        temporary.rename(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(target.parent)
    return SealedFile(
        path=path,
        index=index,
        epoch=first.epoch,
        first_sequence=first.sequence,
        last_sequence=last.sequence,
        chain_count=len(chains),
        row_count=table.num_rows,
        min_event_time_us=ordered[0].event_time_us,
        max_event_time_us=ordered[-1].event_time_us,
        byte_count=len(content),
        sha256=digest,
    )


class Verifier:
    """Checks sealed files against the catalog before their first use; safe to call from several threads."""

    def __init__(self, directory: Path) -> None:
        """Check files below `directory`."""
        self._directory = directory
        self._verified: dict[str, tuple[int, int, int]] = {}

    def verify(self, file: SealedFile) -> Path:
        """Return where `file` is, once its bytes are known to be those that were sealed.

        A file is hashed once per process, and again when its size, time or inode has changed.

        Raises:
            DataLoss: DAMAGED_FILE, naming it: it is gone, or its bytes differ.
        """
        path = self._directory / file.path
        try:
            stat = path.stat()
            state = (stat.st_size, stat.st_mtime_ns, stat.st_ino)
            if self._verified.get(file.path) == state:
                return path
            matches = stat.st_size == file.byte_count and _hash_file(path) == file.sha256
        except OSError as error:
            raise _damaged(file, f"cannot be read: {error.strerror}") from error
        if not matches:
            raise _damaged(file, "does not match its checksum")
        self._verified[file.path] = state
        return path


def _damaged(file: SealedFile, what: str) -> DataLoss:
    return DataLoss(
        f"the sealed file {file.path} {what}; it is not served",
        reason="DAMAGED_FILE",
        metadata={"index": file.index, "file": file.path},
    )


def _serialize(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(
        table,
        sink,
        compression="zstd",
        compression_level=_COMPRESSION_LEVEL,
        row_group_size=_ROW_GROUP_ROWS,
        use_dictionary=_DICTIONARY_COLUMNS,
        column_encoding=_ENCODINGS,
        write_page_checksum=True,
    )
    content: bytes = sink.getvalue().to_pybytes()
    return content


def _compare(path: Path, digest: str, table: pa.Table) -> None:
    if _hash_file(path) != digest:
        raise SealError(f"{path.name} reads back other bytes than were written")
    if not same_rows(pq.read_table(path, partitioning=None), table):
        raise SealError(f"{path.name} reads back other rows than were written")


def same_rows(one: pa.Table, other: pa.Table) -> bool:
    """Return whether two tables hold the same values bit by bit: NaN equals itself, and -0.0 is not 0.0."""
    if one.num_rows != other.num_rows or one.schema.names != other.schema.names:
        return False
    for name in one.schema.names:
        left, right = one[name], other[name]
        if pa.types.is_floating(left.type) and pa.types.is_floating(right.type):
            if not left.is_null().equals(right.is_null()) or not np.array_equal(_bits(left), _bits(right)):
                return False
        elif not left.equals(right):
            return False
    return True


def _bits(values: pa.ChunkedArray) -> np.ndarray:
    bits: np.ndarray = values.fill_null(0.0).to_numpy().view(np.int64)
    return bits


def _write_durably(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _make_folders(directory: Path, folder: Path) -> None:
    """Make `folder` and those above it up to `directory`, each on disk as an entry of the one above."""
    missing = [each for each in (folder, *folder.parents) if each.is_relative_to(directory) and not each.exists()]
    for each in reversed(missing):
        each.mkdir(exist_ok=True)
        _sync_folder(each.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _hash_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
