"""The analytics service's program: `python -m optrading.analytics`."""

from __future__ import annotations

import sys

from optrading.analytics.service import run_analytics
from optrading.analytics.settings import AnalyticsSettings
from optrading.common.clock import SystemClock
from optrading.common.program import run_program
from optrading.common.serving import until_signal


async def main(settings: AnalyticsSettings) -> None:
    """Compute and serve until a signal comes."""
    async with run_analytics(settings, SystemClock()):
        await until_signal()


if __name__ == "__main__":
    sys.exit(run_program("analytics", AnalyticsSettings, main))
