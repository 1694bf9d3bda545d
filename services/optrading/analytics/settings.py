"""Settings of the analytics service."""

from __future__ import annotations

from pydantic import Field

from optrading.common.settings import ServiceSettings


class AnalyticsSettings(ServiceSettings):
    """What the analytics service needs to know.

    Attributes:
        risk_free_rate_per_year: Continuously compounded rate of discounting, per year; 0.065 is 6.5 %.
    """

    listen_address: str = "127.0.0.1:50053"
    risk_free_rate_per_year: float = Field(default=0.065, ge=-0.05, le=0.5)
