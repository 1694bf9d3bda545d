"""Opens a recording: recognises its format, reads and checks all of it before anything is collected."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from pathlib import Path

from optrading.collection.feeds.base import FeedError
from optrading.collection.feeds.replay.nse_json import read_nse_json
from optrading.collection.feeds.replay.recording import Recording, build_recording
from optrading.collection.feeds.replay.rows import Rows
from optrading.collection.feeds.replay.table import read_csv, read_parquet

_PARQUET_MAGIC = b"PAR1"
_GZIP_MAGIC = b"\x1f\x8b"
_ALLOWED = "allowed: a table as Parquet or CSV, or NSE's option-chain JSON, the latter two also gzipped"
_LONGEST_MESSAGE = 400
"""Characters; libraries quote whole lines of a damaged file."""


def open_recording(path: Path | str, *, lot_size: int | None = None) -> Recording:
    """Read the recording at `path` and check all of it; blocks, about half a second for 150,000 rows.

    Args:
        path: Parquet, CSV or NSE JSON; the format is told by the content, the extension only helps with text.
        lot_size: Units in one contract on the recorded day (`REPLAY_LOT_SIZE`), >= 1; what the exchange had by then
            unless given.

    Raises:
        FeedError: The file is missing, unreadable, cut short, of another shape, or holds what cannot be; one line.
    """
    path = Path(path)
    if lot_size is not None and lot_size < 1:
        raise FeedError(f"REPLAY_LOT_SIZE={lot_size}: a lot has at least 1 unit")
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise FeedError(f"{path}: there is no such recording; {_ALLOWED}") from None
    except OSError as error:
        raise FeedError(f"{path}: the recording cannot be read ({error.strerror})") from None
    try:
        rows = _read(content, [suffix.lower() for suffix in path.suffixes])
        identity = hashlib.sha256(content).hexdigest()
        return build_recording(rows, name=path.name, identity=identity, lot_size_units=lot_size)
    except FeedError as error:
        line = " ".join(f"{path}: {error}".split())
        raise FeedError(line if len(line) <= _LONGEST_MESSAGE else f"{line[:_LONGEST_MESSAGE]}...") from None


def _read(content: bytes, suffixes: list[str]) -> Rows:
    if content.startswith(_GZIP_MAGIC):
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise FeedError(f"the gzip file is cut short or damaged ({error})") from None
    if not content.strip():
        raise FeedError(f"the recording is empty; {_ALLOWED}")
    if content.startswith(_PARQUET_MAGIC):
        return read_parquet(content)
    if ".parquet" in suffixes:
        raise FeedError(f"this is no Parquet file; {_ALLOWED}")
    if ".json" in suffixes or content.lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"{", b"[")):
        return read_nse_json(content)
    if ".csv" in suffixes or b"," in content.partition(b"\n")[0]:
        return read_csv(content)
    raise FeedError(f"this is no recording; {_ALLOWED}")
