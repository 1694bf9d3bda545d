"""The collection service's program: `python -m optrading.collection`."""

from __future__ import annotations

import asyncio
import sys

from optrading.collection.feeds.base import FeedError
from optrading.collection.feeds.opening import open_feed
from optrading.collection.service import run_collection
from optrading.collection.settings import CollectionSettings
from optrading.common.clock import SystemClock
from optrading.common.exchange_calendar import HolidayFileError
from optrading.common.metrics import serve_metrics
from optrading.common.program import run_program
from optrading.common.serving import until_signal


async def main(settings: CollectionSettings) -> None:
    """Collect and serve until a signal comes."""
    clock = SystemClock()
    feed = await asyncio.to_thread(open_feed, settings, clock)
    with serve_metrics(settings.metrics_address):
        async with run_collection(settings, feed, clock):
            await until_signal()


if __name__ == "__main__":
    sys.exit(run_program("collection", CollectionSettings, main, expected=(FeedError, HolidayFileError)))
