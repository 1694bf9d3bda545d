"""Where collecting goes on after a restart: the last durable chain of each index, and where each feed and run was."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

import structlog

from optrading.common.bookmarks import Bookmarks
from optrading.common.errors import DataLoss
from optrading.common.journal import Journal, Record
from optrading.market.codec import from_micros

log = structlog.get_logger()


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


def newest_records(journal: Journal) -> Mapping[str, Record | None]:
    """Return the newest record of each index that `journal` knows; None where it has none, or one that is damaged."""
    return {index: _newest(journal, index) for index in journal.indices()}


def _newest(journal: Journal, index: str) -> Record | None:
    try:
        return journal.last(index)
    except DataLoss as error:
        # What is to come can still be collected; whoever reads the damaged record is told.
        log.error("journal_damaged", index=index, error=error.message)
        return None
