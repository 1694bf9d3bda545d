"""gRPC face of collection. Translates; decides nothing."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator

from optrading.collection.importing import Importer
from optrading.collection.ledger_outlet import LedgerOutlet
from optrading.collection.outlet import Outlet
from optrading.collection.pipeline import CollectionPipeline
from optrading.collection.snapshot import Snapshot, read_lane_response
from optrading.collection.trimming import JournalTrimmer
from optrading.collection.v1 import collection_service_pb2 as pb
from optrading.collection.v1 import collection_service_pb2_grpc as pb_grpc
from optrading.common.board import Board
from optrading.common.errors import FailedPrecondition, InvalidArgument, Unavailable
from optrading.common.interceptors import Context
from optrading.common.selection import check_expiry_choice, check_index, choose_expiry, expiry_in, no_chain_yet
from optrading.market.chain import Position
from optrading.market.codec import from_timestamp, to_timestamp
from optrading.market.v1 import chain_pb2


class CollectionServicer(pb_grpc.CollectionServiceServicer):
    """Hands out what the board shows and what the journal holds."""

    def __init__(
        self,
        board: Board[Snapshot],
        outlet: Outlet,
        ledgers: LedgerOutlet,
        importer: Importer,
        trimmer: JournalTrimmer,
        pipeline: CollectionPipeline,
    ) -> None:
        """Serve from these."""
        self._board = board
        self._outlet = outlet
        self._ledgers = ledgers
        self._importer = importer
        self._trimmer = trimmer
        self._pipeline = pipeline

    async def ListIndices(self, request: pb.ListIndicesRequest, context: Context) -> pb.ListIndicesResponse:
        """List the indices by name."""
        return pb.ListIndicesResponse(indices=[self._listing(index) for index in sorted(self._board.indices)])

    async def GetChain(  # type: ignore[override]  # ready bytes, which CallInterceptor passes on
        self, request: pb.GetChainRequest, context: Context
    ) -> bytes:
        """Return the newest chain, ready made."""
        check_index(request.index, self._board.indices)
        check_expiry_choice(request.bucket, request.expiry)
        self._check_owned(request.index)
        newest = self._board.newest(request.index)
        if newest is None:
            raise no_chain_yet(request.index)
        return newest.get_chain_response(choose_expiry(request.index, newest.listed, request.bucket, request.expiry))

    async def WatchChains(  # type: ignore[override]  # ready bytes, which CallInterceptor passes on
        self, request: pb.WatchChainsRequest, context: Context
    ) -> AsyncIterator[bytes]:
        """Stream chains in order, with signs of life in between."""
        check_index(request.index, self._board.indices)
        check_expiry_choice(request.bucket, request.expiry)
        self._check_owned(request.index)
        newest = self._board.newest(request.index)
        if newest is not None:
            choose_expiry(request.index, newest.listed, request.bucket, request.expiry)
        after = None
        if request.HasField("resume_after_sequence"):
            after = Position(request.resume_after_epoch, request.resume_after_sequence)
        lossless = request.delivery == chain_pb2.DELIVERY_LOSSLESS
        async for update in self._outlet.follow(request.index, after, lossless=lossless):
            self._check_owned(request.index)
            if update.item is None:
                yield self._heartbeat(request.index)
            else:
                expiry = expiry_in(update.item.listed, request.bucket, request.expiry)
                yield update.item.watch_chains_response(expiry, update.skipped)

    async def AcknowledgeChains(
        self, request: pb.AcknowledgeChainsRequest, context: Context
    ) -> pb.AcknowledgeChainsResponse:
        """Note how far storage is durable."""
        check_index(request.index, self._board.indices)
        if request.epoch <= 0 or request.sequence <= 0:
            raise InvalidArgument("epoch and sequence must be positive", reason="INVALID_POSITION", field="sequence")
        known = self._pipeline.last_epoch_of(request.index)
        if request.epoch > known:
            await self._pipeline.disown(request.index)
            raise FailedPrecondition(
                f"{request.index}: storage has seen epoch {request.epoch}, newer than this collector's {known}",
                reason="EPOCH_SUPERSEDED",
            )
        await self._trimmer.acknowledge(request.index, Position(request.epoch, request.sequence))
        return pb.AcknowledgeChainsResponse()

    async def WatchGaps(self, request: pb.WatchGapsRequest, context: Context) -> AsyncIterator[pb.WatchGapsResponse]:
        """Stream the changes of the gap ledger."""
        ledger_id = self._ledgers.ledger_id
        async for change in self._ledgers.follow_gaps(request.ledger_id, request.resume_after_change):
            if change is None:
                yield pb.WatchGapsResponse(ledger_id=ledger_id)
            else:
                yield pb.WatchGapsResponse(ledger_id=ledger_id, change=change.number, gap=change.gap)

    async def ListLanes(self, request: pb.ListLanesRequest, context: Context) -> pb.ListLanesResponse:
        """List the side lanes."""
        live = {index: self._pipeline.epoch_of(index) for index in self._pipeline.owned}
        lanes = await self._ledgers.lanes(live)
        return pb.ListLanesResponse(
            lanes=[
                pb.Lane(
                    index=lane.index,
                    epoch=lane.epoch,
                    kind=pb.LaneKind.ValueType(lane.kind),
                    first_sequence=lane.first_sequence,
                    last_sequence=lane.last_sequence,
                )
                for lane in lanes
            ]
        )

    async def ReadLane(  # type: ignore[override]  # ready bytes, which CallInterceptor passes on
        self, request: pb.ReadLaneRequest, context: Context
    ) -> AsyncIterator[bytes]:
        """Stream the chains of a side lane that are here."""
        after = Position(request.epoch, request.resume_after_sequence)
        async for record in self._ledgers.read_lane(request.index, after):
            yield read_lane_response(record)

    async def BeginImport(self, request: pb.BeginImportRequest, context: Context) -> pb.BeginImportResponse:
        """Begin an import, or go on with it."""
        import_id, position = await self._importer.begin(request.file_name, request.sha256, request.chain_count)
        return pb.BeginImportResponse(import_id=import_id, position=position)

    async def ImportChains(self, request: pb.ImportChainsRequest, context: Context) -> pb.ImportChainsResponse:
        """Add chains of an import."""
        position, added = await self._importer.add(request.import_id, request.position, request.chains)
        return pb.ImportChainsResponse(position=position, added_chain_count=added)

    def _check_owned(self, index: str) -> None:
        """Refuse an index that another collector has now: what is here would look newer than it is.

        Raises:
            Unavailable: NOT_OWNER; another collector, or this one in a moment, has it.
        """
        if not self._pipeline.epoch_of(index) and not self._pipeline.has_ended(index):
            raise Unavailable(f"{index} is not collected here now", reason="NOT_OWNER", retry_after_s=1.0)

    def _heartbeat(self, index: str) -> bytes:
        newest = self._board.newest(index)
        heartbeat = chain_pb2.Heartbeat()
        if newest is not None:
            heartbeat.latest_epoch, heartbeat.latest_sequence = newest.position
        return pb.WatchChainsResponse(heartbeat=heartbeat).SerializeToString()

    def _listing(self, index: str) -> pb.IndexListing:
        newest = self._board.newest(index)
        listing = pb.IndexListing(
            index=index,
            source=self._pipeline.source,
            spot_inr=math.nan,
            finished=self._pipeline.has_ended(index),
            owned=self._pipeline.epoch_of(index) > 0,
        )
        if newest is None:
            return listing
        chain = newest.message
        listing.source = chain.source
        listing.latest_epoch, listing.latest_sequence = newest.position
        listing.event_time.CopyFrom(chain.event_time)
        listing.clock_time.CopyFrom(to_timestamp(self._pipeline.clock_time(from_timestamp(chain.event_time))))
        listing.spot_inr = chain.spot_inr
        listing.expiries.extend(
            pb.ListedExpiry(
                expiry=each.expiry,
                buckets=each.buckets,
                lot_size=each.lot_size,
                strike_count=len(each.strike_inr),
            )
            for each in chain.expiries
        )
        return listing
