"""`python -m optrading.identity`: run the identity service until told to stop."""

from __future__ import annotations

import asyncio
import sys

from optrading.common.clock import SystemClock
from optrading.common.program import run_program
from optrading.common.serving import serve, until_signal
from optrading.identity.identity import open_identity
from optrading.identity.settings import SERVICE, IdentitySettings


async def main(settings: IdentitySettings) -> None:
    """Serve until the first signal."""
    async with (
        open_identity(settings, SystemClock()) as identity,
        serve(settings, SERVICE, identity.add_to) as server,
        asyncio.TaskGroup() as tasks,
    ):
        pruning = tasks.create_task(identity.prune_forever())
        await server.set_serving(True)
        await until_signal()
        pruning.cancel()


if __name__ == "__main__":
    sys.exit(run_program(SERVICE, IdentitySettings, main))
