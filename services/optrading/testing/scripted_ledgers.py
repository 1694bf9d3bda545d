"""What a scripted collection has beside its chains: a gap ledger and side lanes, as a test tells them."""

# ruff: noqa: N802, ARG002  # a servicer: methods are named, and their arguments given, by the contract

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from optrading.collection.v1 import collection_service_pb2 as pb
from optrading.collection.v1 import collection_service_pb2_grpc as pb_grpc
from optrading.common.errors import NotFound, OutOfRange, Unavailable
from optrading.common.interceptors import Context
from optrading.market.v1 import chain_pb2, gap_pb2


class ScriptedLedgers(pb_grpc.CollectionServiceServicer):
    """Serves gaps and side lanes.

    Attributes:
        ledger_id: Identifies the gaps.
        gaps: Changes of the gap ledger, in order; add by `tell_gap`.
        lanes: Chains of each side lane, by index and epoch.
    """

    def __init__(self, heartbeat_interval_s: float) -> None:
        """Have neither yet."""
        self.ledger_id = "ledger"
        self.gaps: list[gap_pb2.Gap] = []
        self.lanes: dict[tuple[str, int], list[chain_pb2.ChainSnapshot]] = {}
        self._gap_heartbeat_s = heartbeat_interval_s
        self._changed = asyncio.Condition()

    async def tell_gap(self, gap: gap_pb2.Gap) -> None:
        """Note a change of the gap ledger and send it to those who watch."""
        async with self._changed:
            self.gaps.append(gap)
            self._changed.notify_all()

    async def WatchGaps(self, request: pb.WatchGapsRequest, context: Context) -> AsyncIterator[pb.WatchGapsResponse]:
        """Stream the gaps that were told, each a change, then those to come."""
        after = request.resume_after_change
        if request.ledger_id not in ("", self.ledger_id) or after > len(self.gaps):
            raise OutOfRange("the position is of another ledger", reason="SEQUENCE_AHEAD")
        while True:
            for gap in self.gaps[after:]:
                after += 1
                yield pb.WatchGapsResponse(ledger_id=self.ledger_id, change=after, gap=gap)
            try:
                async with asyncio.timeout(self._gap_heartbeat_s), self._changed:
                    await self._changed.wait_for(lambda: len(self.gaps) > after)  # noqa: B023  # awaited at once
            except TimeoutError:
                yield pb.WatchGapsResponse(ledger_id=self.ledger_id)

    async def ListLanes(self, request: pb.ListLanesRequest, context: Context) -> pb.ListLanesResponse:
        """List the side lanes that were made."""
        return pb.ListLanesResponse(
            lanes=[
                pb.Lane(
                    index=index,
                    epoch=epoch,
                    kind=pb.LANE_KIND_IMPORT,
                    first_sequence=chains[0].sequence,
                    last_sequence=chains[-1].sequence,
                )
                for (index, epoch), chains in sorted(self.lanes.items())
            ]
        )

    async def ReadLane(self, request: pb.ReadLaneRequest, context: Context) -> AsyncIterator[pb.ReadLaneResponse]:
        """Stream the chains of a side lane after a position."""
        chains = self.lanes.get((request.index, request.epoch))
        if chains is None:
            raise NotFound(f"no lane {request.epoch}", reason="UNKNOWN_LANE", field="epoch")
        for chain in chains:
            if chain.sequence > request.resume_after_sequence:
                yield pb.ReadLaneResponse(chain=chain)

    async def BeginImport(self, request: pb.BeginImportRequest, context: Context) -> pb.BeginImportResponse:
        """Refuse: nobody imports into a script."""
        raise Unavailable("a scripted collection takes no imports", reason="IMPORT_ELSEWHERE")

    async def ImportChains(self, request: pb.ImportChainsRequest, context: Context) -> pb.ImportChainsResponse:
        """Refuse: nobody imports into a script."""
        raise Unavailable("a scripted collection takes no imports", reason="IMPORT_ELSEWHERE")
