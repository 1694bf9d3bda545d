"""Imports: chains of a file, taken once however often they are sent, durable beside the live ones."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

import structlog
from redis.asyncio import Redis

from optrading.collection.lane_store import LaneKind
from optrading.collection.lanes import SideLanes
from optrading.common.cursors import set_file_cursor
from optrading.common.errors import InvalidArgument, NotFound, OutOfRange, Unavailable, shown
from optrading.common.redis_client import UNREACHABLE, bounded
from optrading.market.acceptance import UnacceptableChainError, accept_chain
from optrading.market.chain import Chain
from optrading.market.indices import INDICES
from optrading.market.v1 import chain_pb2

log = structlog.get_logger()

SOURCE = "import"
"""Source of every imported chain."""

_SHA256 = re.compile(r"[0-9a-f]{64}")
_OWNER = "optrading:import-owner:"
_ID_OWNER = "optrading:import-id:"
_LONGEST_NAME = 255


class Importer:
    """Takes imports. The content of a file, by its checksum, is what makes it the same import."""

    def __init__(self, lanes: SideLanes, instance: str, redis: Redis | None) -> None:
        """Write to `lanes`.

        Args:
            lanes: Where imported chains become durable.
            instance: Who we are: an import belongs to the collector that began it.
            redis: Tells to whom an import belongs, and keeps its file cursor; None with a single collector.
        """
        self._lanes = lanes
        self._instance = instance
        self._redis = redis
        self._files: dict[int, tuple[str, str]] = {}

    async def begin(self, file_name: str, sha256: str, chain_count: int) -> tuple[str, int]:
        """Begin the import of a file, or go on with it.

        Returns:
            What names it from now on, and how many of its chains are here.

        Raises:
            InvalidArgument: INVALID_IMPORT.
            Unavailable: IMPORT_ELSEWHERE: another collector has it.
        """
        if not _SHA256.fullmatch(sha256):
            raise _invalid("sha256", f"{shown(sha256)} is not a SHA-256 of 64 hexadecimal digits in lower case")
        if not file_name or len(file_name) > _LONGEST_NAME:
            raise _invalid("file_name", f"a file's name has 1 to {_LONGEST_NAME} characters")
        if chain_count <= 0:
            raise _invalid("chain_count", "an import has at least one chain")
        await self._claim(sha256)
        epoch = await self._lanes.open(LaneKind.IMPORT, sha256)
        if self._redis is not None:
            with suppress(*UNREACHABLE):  # then others cannot pass its chains on to us; whoever sends them tries again
                await bounded(self._redis.set(f"{_ID_OWNER}{epoch}", self._instance))
        self._files[epoch] = (file_name, sha256)
        return str(epoch), await self._lanes.total(epoch)

    async def add(self, import_id: str, position: int, messages: Sequence[chain_pb2.ChainSnapshot]) -> tuple[int, int]:
        """Add the chains of an import that begin at `position`; durable when this returns.

        Returns:
            How many chains of it are here now, and how many of these were not before.

        Raises:
            NotFound: UNKNOWN_IMPORT, UNKNOWN_INDEX.
            OutOfRange: IMPORT_POSITION: chains before these are missing.
            InvalidArgument: INVALID_CHAIN; nothing of the request was taken.
        """
        epoch = int(import_id) if import_id.isdecimal() and len(import_id) < 16 else 0
        if await self._lanes.kind_of(epoch) is not LaneKind.IMPORT:
            await self._check_elsewhere(import_id)
            raise NotFound(
                f"no import {shown(import_id)} was begun here; begin it first",
                reason="UNKNOWN_IMPORT",
                field="import_id",
            )
        if not messages:
            raise _invalid("chains", "there are no chains in this request")
        chains = [_accept(message, position + number) for number, message in enumerate(messages)]
        added = await self._lanes.append_at(epoch, position, chains)
        if added is None:
            here = await self._lanes.total(epoch)
            raise OutOfRange(
                f"chains before position {position} are missing; {here} are here: go on after them",
                reason="IMPORT_POSITION",
                metadata={"position": str(here)},
            )
        total = await self._lanes.total(epoch)
        await self._note(epoch, total)
        return total, added

    async def _claim(self, sha256: str) -> None:
        """Make sure that this import is ours, among several collectors."""
        if self._redis is None:
            return
        key = _OWNER + sha256
        try:
            await bounded(self._redis.set(key, self._instance, nx=True))
            owner = await bounded(self._redis.get(key))
        except UNREACHABLE as error:
            if await self._lanes.is_known(LaneKind.IMPORT, sha256):
                return  # begun here before: nobody else has it
            raise Unavailable(
                "whether another collector has this import cannot be told while Redis is away",
                reason="IMPORT_ELSEWHERE",
                retry_after_s=5.0,
            ) from error
        if owner != self._instance:
            raise Unavailable("another collector has this import", reason="IMPORT_ELSEWHERE", retry_after_s=1.0)

    async def _check_elsewhere(self, import_id: str) -> None:
        """Say so when another collector has an import: the gateway asks that one then.

        Raises:
            Unavailable: IMPORT_ELSEWHERE.
        """
        owner = None
        if self._redis is not None:
            with suppress(*UNREACHABLE):
                owner = await bounded(self._redis.get(_ID_OWNER + import_id))
        if owner is not None and owner != self._instance:
            raise Unavailable("another collector has this import", reason="IMPORT_ELSEWHERE", retry_after_s=1.0)

    async def _note(self, epoch: int, position: int) -> None:
        """Keep the file cursor where others look; what counts is in the journal."""
        known = self._files.get(epoch)
        if self._redis is None or known is None:
            return
        file_name, sha256 = known
        try:
            await set_file_cursor(self._redis, file_name, position, sha256)
        except UNREACHABLE as error:
            log.warning("file_cursor_not_kept", file=file_name, error=str(error))


def _accept(message: chain_pb2.ChainSnapshot, number: int) -> Chain:
    if message.index not in INDICES:
        raise NotFound(
            f"chain {number}: index {shown(message.index)} is not known; known: {', '.join(INDICES)}",
            reason="UNKNOWN_INDEX",
            field="chains",
        )
    try:
        return replace(accept_chain(message, message.index), source=SOURCE)
    except UnacceptableChainError as error:
        raise InvalidArgument(f"chain {number}: {error}", reason="INVALID_CHAIN", field="chains") from None


def _invalid(field: str, message: str) -> InvalidArgument:
    return InvalidArgument(message, reason="INVALID_IMPORT", field=field)
