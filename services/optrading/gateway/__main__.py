"""`python -m optrading.gateway`: run the companion of Envoy until told to stop."""

from __future__ import annotations

import asyncio
import sys

from optrading.common.access import CONTRACT
from optrading.common.channels import open_channel
from optrading.common.clock import SystemClock
from optrading.common.program import run_program
from optrading.common.serving import serve, until_signal
from optrading.gateway.health_watch import HealthWatch
from optrading.gateway.servicer import GatewayServicer
from optrading.gateway.settings import SERVICE, GatewaySettings

COMPONENTS = tuple(sorted(set(CONTRACT) - {SERVICE}))
"""Every workload behind the gateway."""


async def main(settings: GatewaySettings) -> None:
    """Serve until the first signal."""
    watch = HealthWatch(
        COMPONENTS, lambda name: open_channel(settings, SERVICE, name), SystemClock(), settings.health_retry_s
    )
    async with serve(settings, SERVICE, GatewayServicer(watch).add_to) as server, asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(watch.run())
        await server.set_serving(True)
        await until_signal()
        watching.cancel()


if __name__ == "__main__":
    sys.exit(run_program(SERVICE, GatewaySettings, main))
