"""A reader of the gap ledger hears that the stream is alive, also while chains are committed all the time."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, closing
from pathlib import Path

from optrading.collection.gaps import GapLedger
from optrading.collection.lane_store import LaneStore
from optrading.collection.ledger_outlet import LedgerOutlet
from optrading.common.board import StreamLimits
from optrading.common.database import open_database
from optrading.common.journal import Journal
from optrading.common.worker import Worker


async def test_commits_without_a_gap_do_not_put_the_sign_of_life_off(tmp_path: Path) -> None:
    with closing(open_database(tmp_path / "journal.sqlite")) as connection:
        async with Worker("reader") as reader:
            outlet = LedgerOutlet(
                GapLedger(connection),
                LaneStore(connection, Journal(connection)),
                reader,
                StreamLimits(heartbeat_s=0.2, max_age_s=3600),
            )

            async def commit() -> None:
                while True:
                    outlet.wake()
                    await asyncio.sleep(0.01)

            committing = asyncio.create_task(commit())
            async with aclosing(outlet.follow_gaps("", 0)) as changes, asyncio.timeout(20):
                assert await anext(changes) is None
            committing.cancel()
