"""gRPC face of the gateway's companion. Translates; decides nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc

from optrading.common.errors import Unavailable
from optrading.gateway.health_watch import HealthWatch
from optrading.gateway.v1 import gateway_service_pb2 as pb
from optrading.gateway.v1 import gateway_service_pb2_grpc as pb_grpc

if TYPE_CHECKING:  # generic only in the stubs
    from optrading.common.interceptors import Context

RETRY_AFTER_S = 1.0
"""A service that restarts is usually back in this time."""


class GatewayServicer(pb_grpc.GatewayServiceServicer):
    """Answers the calls of GatewayService."""

    def __init__(self, watch: HealthWatch) -> None:
        """Tell what `watch` knows."""
        self._watch = watch

    def add_to(self, server: grpc.aio.Server) -> None:
        """Add the service to `server`."""
        pb_grpc.add_GatewayServiceServicer_to_server(self, server)

    async def GetHealth(self, request: pb.GetHealthRequest, context: Context) -> pb.GetHealthResponse:
        """Return the health of every component; all of them serve, or this is an error that names who does not."""
        status = {name: "serving" if serving else "not_serving" for name, serving in self._watch.serving.items()}
        if missing := [name for name, serving in self._watch.serving.items() if not serving]:
            raise Unavailable(
                f"not serving: {', '.join(missing)}",
                reason="DEPENDENCY_UNAVAILABLE",
                retry_after_s=RETRY_AFTER_S,
                metadata=status,
            )
        components = [pb.ComponentHealth(name=name, status=said) for name, said in status.items()]
        return pb.GetHealthResponse(status="ok", components=components)
