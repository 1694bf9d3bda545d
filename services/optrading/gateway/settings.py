"""Settings of the gateway's companion, which answers for the health of the mesh."""

from __future__ import annotations

from pydantic import Field

from optrading.common.settings import ServiceSettings

SERVICE = "gateway"
"""Name of the workload: the companion's and Envoy's."""


class GatewaySettings(ServiceSettings):
    """What the companion needs to know.

    Attributes:
        health_retry_s: Longest pause before a component that cannot be reached is tried again, seconds.
    """

    health_retry_s: float = Field(default=1.0, gt=0)
