"""gRPC face of storage. Translates; decides nothing."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace

from google.protobuf.timestamp_pb2 import Timestamp

from optrading.common.chain_bytes import serialize_chain
from optrading.common.errors import InvalidArgument
from optrading.common.interceptors import Context
from optrading.common.selection import check_expiry_choice, check_index, choose_expiry
from optrading.common.wire import message_field
from optrading.common.worker import Worker
from optrading.market.chain import Chain, Position
from optrading.market.codec import encode_chain, from_micros, to_timestamp
from optrading.storage.gaps import completeness
from optrading.storage.history import History, IndexHistory
from optrading.storage.planning import Span
from optrading.storage.query import Reader
from optrading.storage.selecting import Wanted
from optrading.storage.stores.gap_table import GapTable
from optrading.storage.v1 import storage_service_pb2 as pb
from optrading.storage.v1 import storage_service_pb2_grpc as pb_grpc

_CHAIN_FIELD = pb.ReadChainsResponse.CHAIN_FIELD_NUMBER
_LONGEST_MICROS = 253_402_300_800_000_000  # 10000-01-01: the end of the range of google.protobuf.Timestamp


class StorageServicer(pb_grpc.StorageServiceServicer):
    """Answers from the history."""

    def __init__(self, history: History, reader: Reader, gaps: GapTable, writer: Worker) -> None:
        """Serve what `history` shows, by `reader`, and `gaps`, which only the thread of `writer` touches."""
        self._history = history
        self._reader = reader
        self._gaps = gaps
        self._writer = writer

    async def GetChain(self, request: pb.GetChainRequest, context: Context) -> pb.GetChainResponse:
        """Return the chain that is or was the newest."""
        check_index(request.index, self._history.known())
        check_expiry_choice(request.bucket, request.expiry)
        before_us = _micros(request.as_of, "as_of") + 1 if request.HasField("as_of") else None
        stored = await self._reader.latest(self._history.of(request.index), before_us)
        listed = {expiry.expiry.isoformat(): expiry.buckets for expiry in stored.chain.expiries}
        chosen = choose_expiry(request.index, listed, request.bucket, request.expiry)
        return pb.GetChainResponse(chain=encode_chain(_only(stored.chain, chosen), stored.position))

    async def ReadChains(  # type: ignore[override]  # ready bytes, which CallInterceptor passes on
        self, request: pb.ReadChainsRequest, context: Context
    ) -> AsyncIterator[bytes]:
        """Stream the chains of a range."""
        check_index(request.index, self._history.known())
        wanted = _wanted(request)
        # Closed with the call: a reader that left holds neither memory nor a place.
        reading = self._reader.read(self._history.of(request.index), wanted, _read_chains_response)
        async with aclosing(reading) as answers:
            async for answer in answers:
                yield answer

    async def ListWatermarks(self, request: pb.ListWatermarksRequest, context: Context) -> pb.ListWatermarksResponse:
        """List how far each index is durable."""
        histories = (self._history.of(index) for index in self._history.known())
        return pb.ListWatermarksResponse(watermarks=[_watermark(each) for each in histories if each.totals])

    async def ListGaps(self, request: pb.ListGapsRequest, context: Context) -> pb.ListGapsResponse:
        """List the gaps that touch a range."""
        check_index(request.index, self._history.known())
        start, end = _span(request)
        gaps = await self._writer.run(self._gaps.list, request.index, start, end)
        totals = self._history.of(request.index).totals
        complete = math.nan
        if totals is not None:
            first, last = totals.first_event_time_us, totals.last_event_time_us
            first = first if start is None else max(first, start)
            complete = completeness(gaps, first, last if end is None else min(last, end))
        wanted = set(request.cause)
        shown = [gap for gap in gaps if not wanted or gap.cause in wanted]
        return pb.ListGapsResponse(gaps=shown, completeness=complete)


def _wanted(request: pb.ReadChainsRequest) -> Wanted:
    expiry = check_expiry_choice(request.bucket, request.expiry)
    for strike in request.strike_inr:
        if not 0 < strike < float("inf"):
            raise InvalidArgument(
                f"strike {strike} is not a positive number of rupees", reason="INVALID_STRIKE", field="strike_inr"
            )
    return Wanted(Span(*_span(request)), request.bucket, expiry, tuple(request.strike_inr))


def _span(request: pb.ReadChainsRequest | pb.ListGapsRequest) -> tuple[int | None, int | None]:
    """Return start and end, microseconds since 1970 UTC; None is without bound."""
    start = _micros(request.start_time, "start_time") if request.HasField("start_time") else None
    end = _micros(request.end_time, "end_time") if request.HasField("end_time") else None
    if start is not None and end is not None and end <= start:
        raise InvalidArgument("end_time must be after start_time", reason="INVALID_TIME_RANGE", field="end_time")
    return start, end


def _micros(instant: Timestamp, field: str) -> int:
    micros = instant.seconds * 1_000_000 + instant.nanos // 1000
    # A day is left at both ends, so that neighbours of an instant and other time zones stay representable.
    day = 86_400_000_000
    if not -62_135_596_800_000_000 + day <= micros < _LONGEST_MICROS - day or not 0 <= instant.nanos < 1_000_000_000:
        raise InvalidArgument(f"{field} is outside of the years 1 to 9999", reason="INVALID_TIME_RANGE", field=field)
    return micros


def _read_chains_response(position: Position, chain: Chain) -> bytes:
    return message_field(_CHAIN_FIELD, serialize_chain(chain, position))


def _only(chain: Chain, expiry: str | None) -> Chain:
    if expiry is None:
        return chain
    return replace(chain, expiries=tuple(each for each in chain.expiries if each.expiry.isoformat() == expiry))


def _watermark(history: IndexHistory) -> pb.Watermark:
    totals = history.totals
    assert totals is not None, "only stored indices are listed"  # tells the type checker
    return pb.Watermark(
        index=history.index,
        epoch=history.watermark.epoch,
        sequence=history.watermark.sequence,
        event_time=to_timestamp(from_micros(totals.last_event_time_us)),
        chain_count=totals.chain_count,
        leg_count=totals.leg_count,
        first_event_time=to_timestamp(from_micros(totals.first_event_time_us)),
    )
