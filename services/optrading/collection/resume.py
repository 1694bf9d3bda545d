"""Where a feed goes on after a restart: the event time of the last durable chain of each index, per feed and run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from optrading.common.bookmarks import Bookmarks
from optrading.common.journal import Record
from optrading.market.codec import from_micros


class ResumePoints:
    """Notes of one feed and run, on the journal's connection. Synchronous, for one thread."""

    def __init__(self, bookmarks: Bookmarks, identity: str, run_name: str) -> None:
        """Belong to the feed with `identity`; another `run_name` begins anew."""
        self._bookmarks = bookmarks
        self._prefix = f"collected/{identity}/{run_name}/"

    def read(self, indices: Iterable[str]) -> Mapping[str, datetime]:
        """Return the event time of the last durable chain of each index that has one."""
        noted = {index: self._bookmarks.note(self._prefix + index) for index in indices}
        return {index: from_micros(int(text)) for index, text in noted.items() if text}

    def note(self, record: Record) -> None:
        """Note that `record` is durable; belongs inside its transaction."""
        self._bookmarks.set_note(self._prefix + record.index, str(record.event_time_us))
