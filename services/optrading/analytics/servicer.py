"""gRPC face of analytics. Translates; decides nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator

from optrading.analytics.result import Result
from optrading.analytics.v1 import analytics_service_pb2 as pb
from optrading.analytics.v1 import analytics_service_pb2_grpc as pb_grpc
from optrading.common.board import Board, StreamLimits
from optrading.common.errors import Unavailable
from optrading.common.interceptors import Context
from optrading.common.selection import check_expiry_choice, check_index, choose_expiry, expiry_in
from optrading.market.v1 import chain_pb2


class AnalyticsServicer(pb_grpc.AnalyticsServiceServicer):
    """Hands out what the board shows."""

    def __init__(self, board: Board[Result], limits: StreamLimits) -> None:
        """Serve from `board`."""
        self._board = board
        self._limits = limits

    async def GetGreeks(  # type: ignore[override]  # ready bytes, which CallInterceptor passes on
        self, request: pb.GetGreeksRequest, context: Context
    ) -> bytes:
        """Return volatilities and Greeks of the newest chain."""
        result, expiry = self._choose(request.index, request.bucket, request.expiry)
        return result.get_greeks_response(expiry)

    async def GetSummary(  # type: ignore[override]  # ready bytes, which CallInterceptor passes on
        self, request: pb.GetSummaryRequest, context: Context
    ) -> bytes:
        """Return the summaries of the newest chain."""
        result, expiry = self._choose(request.index, request.bucket, request.expiry)
        return result.get_summary_response(expiry)

    async def WatchAnalytics(  # type: ignore[override]  # ready bytes, which CallInterceptor passes on
        self, request: pb.WatchAnalyticsRequest, context: Context
    ) -> AsyncIterator[bytes]:
        """Stream analytics in order, with signs of life in between."""
        check_index(request.index, self._board.indices)
        check_expiry_choice(request.bucket, request.expiry)
        newest = self._board.newest(request.index)
        if newest is not None:
            choose_expiry(request.index, newest.listed, request.bucket, request.expiry)
        async for update in self._board.follow_newest(request.index, self._limits):
            if update.item is None:
                yield self._heartbeat(request.index)
            else:
                expiry = expiry_in(update.item.listed, request.bucket, request.expiry)
                yield update.item.watch_analytics_response(expiry, update.skipped)

    def _choose(self, index: str, bucket: str, expiry: str) -> tuple[Result, str | None]:
        check_index(index, self._board.indices)
        check_expiry_choice(bucket, expiry)
        newest = self._board.newest(index)
        if newest is None:
            raise Unavailable(f"{index} has no analytics yet", reason="NO_CHAIN_YET", retry_after_s=1.0)
        return newest, choose_expiry(index, newest.listed, bucket, expiry)

    def _heartbeat(self, index: str) -> bytes:
        newest = self._board.newest(index)
        heartbeat = chain_pb2.Heartbeat()
        if newest is not None:
            heartbeat.latest_epoch, heartbeat.latest_sequence = newest.position
        return pb.WatchAnalyticsResponse(heartbeat=heartbeat).SerializeToString()
