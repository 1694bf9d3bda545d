"""Watches whether each service of the mesh serves, by the gRPC health protocol over the mesh's own channels."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from types import MappingProxyType

import grpc
import structlog
from grpc_health.v1 import health_pb2, health_pb2_grpc

from optrading.common.clock import Clock

log = structlog.get_logger()

FIRST_RETRY_S = 0.1
"""Pause after the first failure of a watch; it doubles from there."""


class HealthWatch:
    """Knows which components serve, as they themselves say.

    A component that has not said anything yet, or whose watch has broken, does not serve.
    """

    def __init__(
        self,
        components: tuple[str, ...],
        open_channel: Callable[[str], grpc.aio.Channel],
        clock: Clock,
        longest_retry_s: float,
    ) -> None:
        """Prepare to watch `components`; `open_channel` opens the channel to one of them."""
        self._open_channel = open_channel
        self._clock = clock
        self._longest_retry_s = longest_retry_s
        self._serving = dict.fromkeys(sorted(components), False)

    @property
    def serving(self) -> Mapping[str, bool]:
        """Whether each component serves, ascending by name."""
        return MappingProxyType(self._serving)

    async def run(self) -> None:
        """Watch until cancelled; afterwards the last knowledge stays as it was."""
        async with asyncio.TaskGroup() as tasks:
            for component in self._serving:
                tasks.create_task(self._watch(component))

    async def _watch(self, component: str) -> None:
        pause_s = FIRST_RETRY_S
        async with self._open_channel(component) as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            while True:
                try:
                    # No deadline: the channel's keepalive ends the call when the component is gone.
                    async for answer in stub.Watch(health_pb2.HealthCheckRequest()):  # type: ignore[attr-defined]  # not in the stubs
                        self._note(component, answer.status == health_pb2.HealthCheckResponse.SERVING)
                        pause_s = FIRST_RETRY_S
                except grpc.aio.AioRpcError as error:
                    log.debug("health_watch_broke", component=component, code=error.code().name)
                self._note(component, False)
                await self._clock.sleep(pause_s * random.uniform(0.5, 1.0))
                pause_s = min(2 * pause_s, self._longest_retry_s)

    def _note(self, component: str, serving: bool) -> None:
        if self._serving[component] is not serving:
            self._serving[component] = serving
            log.info("component_health_changed", component=component, serving=serving)
