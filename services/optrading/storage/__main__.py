"""The storage service: `python -m optrading.storage`."""

from __future__ import annotations

import sys

from optrading.common.clock import SystemClock
from optrading.common.program import run_program
from optrading.common.serving import until_signal
from optrading.storage.service import run_storage
from optrading.storage.settings import StorageSettings


async def main(settings: StorageSettings) -> None:
    """Store and serve until a signal comes."""
    async with run_storage(settings, SystemClock()):
        await until_signal()


if __name__ == "__main__":
    sys.exit(run_program("storage", StorageSettings, main))
