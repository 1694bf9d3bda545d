"""Health of one workload over gRPC. Its watches end when the service stops, so that they do not use up its drain time.

Source: the gRPC health checking protocol, grpc/doc/health-checking.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable

from grpc_health.v1 import health_pb2, health_pb2_grpc

from optrading.common.errors import NotFound, one_of
from optrading.common.interceptors import Context, abort

_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
_UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN


class HealthServicer(health_pb2_grpc.HealthServicer):
    """Says whether a workload does its job: one answer for all of its services."""

    def __init__(self, services: Iterable[str]) -> None:
        """Begin with not serving; `services` are the full names that may be asked for, besides the empty one."""
        self._services = frozenset({"", *services})
        self._serving = False
        self._closed = False
        self._changed = asyncio.Event()

    def set_serving(self, serving: bool) -> None:
        """Tell whoever asks or watches; nothing changes any more once closed."""
        if not self._closed:
            self._serving = serving
            self._wake()

    def close(self) -> None:
        """Say not serving for good, and end the watches after they have said so."""
        self._serving = False
        self._closed = True
        self._wake()

    async def Check(  # noqa: N802  # named by the protocol
        self, request: health_pb2.HealthCheckRequest, context: Context
    ) -> health_pb2.HealthCheckResponse:
        """Return the present state."""
        if request.service not in self._services:
            known = one_of(sorted(self._services - {""}))
            await abort(context, NotFound(f"served here: {known}", reason="UNKNOWN_SERVICE", field="service"))
        return self._answer(request.service)

    async def Watch(  # noqa: N802  # named by the protocol
        self,
        request: health_pb2.HealthCheckRequest,
        context: Context,  # noqa: ARG002  # given by the protocol
    ) -> AsyncIterator[health_pb2.HealthCheckResponse]:
        """Stream the present state and every later one; a slow reader misses what lies in between."""
        said = None
        while True:
            # Taken before the answer: a change while it is being sent is not missed.
            changed, closed = self._changed, self._closed
            answer = self._answer(request.service)
            if answer.status != said:
                yield answer
                said = answer.status
            if closed:
                return
            await changed.wait()

    def _answer(self, service: str) -> health_pb2.HealthCheckResponse:
        status = _SERVING if self._serving else _NOT_SERVING
        return health_pb2.HealthCheckResponse(status=status if service in self._services else _UNKNOWN)

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
