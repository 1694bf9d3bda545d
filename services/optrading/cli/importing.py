"""`optrading import`: files into history through the running mesh, with what was wrong beside them."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from optrading.cli.client import CallError, GatewayClient
from optrading.cli.errors import CommandError
from optrading.collection.feeds.base import FeedError
from optrading.collection.v1 import collection_service_pb2 as pb
from optrading.common.backoff import Backoff
from optrading.common.clock import SystemClock
from optrading.imports.reading import ImportFile, read_import
from optrading.imports.rows import Reject
from optrading.local.credentials import Credentials
from optrading.market.chain import Position
from optrading.market.codec import encode_chain
from optrading.market.v1 import chain_pb2

_BATCH_BYTES = 400_000
"""The gateway takes a megabyte in one request."""
_CALL_S = 60.0
_TRIES = 12
_FIRST_RETRY_S = 0.02
_LONGEST_RETRY_S = 1.0


async def import_files(
    credentials: Credentials, console: Console, files: Sequence[Path], rejects: Path | None, lot_size: int | None
) -> None:
    """Import each of `files`; one that cannot be imported does not keep the others from it.

    Raises:
        CommandError: One of them could not be imported at all.
        CallError: The mesh cannot be reached, or refuses.
    """
    problems = []
    async with GatewayClient(credentials) as client:
        for path in files:
            try:
                file = read_import(path, lot_size)
            except FeedError as error:
                problems.append(str(error))
                continue
            beside = _write_rejects(rejects or path.with_name(f"{path.name}.rejects.csv"), file.rejects)
            if not file.chains:
                problems.append(f"{path}: it is a {file.kind} without a row of our indices{beside}")
                continue
            added = await _send(client, console, file)
            typer.echo(_summary(file, added) + beside)
    if problems:
        raise CommandError("; ".join(problems))


async def _send(client: GatewayClient, console: Console, file: ImportFile) -> int:
    """Send what is not there yet; return how many chains that were."""
    begin = pb.BeginImportRequest(file_name=file.name[:255], sha256=file.sha256, chain_count=len(file.chains))
    begun = await _ask_its_collector(client, client.collection.BeginImport, begin)
    position, added = begun.position, 0
    with _progress(console, file.name, len(file.chains), position) as advance:
        for batch in _batches(file, position):
            request = pb.ImportChainsRequest(import_id=begun.import_id, position=position, chains=batch)
            answer = await _ask_its_collector(client, client.collection.ImportChains, request)
            position = max(position + len(batch), answer.position)
            added += answer.added_chain_count
            advance(position)
    return added


async def _ask_its_collector(client: GatewayClient, method: Any, request: Any) -> Any:
    """Return what the collector that has the import answers.

    The gateway tries the others by itself, but not with a request too long to be kept for that: then it is asked again.
    """
    backoff = Backoff(SystemClock(), _FIRST_RETRY_S, _LONGEST_RETRY_S)
    for _ in range(_TRIES):
        try:
            return await client.call(method, request, _CALL_S)
        except CallError as error:
            if error.reason != "IMPORT_ELSEWHERE":
                raise
            await backoff.wait()
    return await client.call(method, request, _CALL_S)


def _batches(file: ImportFile, position: int) -> Iterator[list[chain_pb2.ChainSnapshot]]:
    batch: list[chain_pb2.ChainSnapshot] = []
    size = 0
    for chain in file.chains[position:]:
        message = encode_chain(chain, Position(0, 0))
        if batch and size + message.ByteSize() > _BATCH_BYTES:
            yield batch
            batch, size = [], 0
        batch.append(message)
        size += message.ByteSize()
    if batch:
        yield batch


def _summary(file: ImportFile, added: int) -> str:
    legs = sum(chain.leg_count() for chain in file.chains)
    there = len(file.chains) - added
    return (
        f"{file.name}: {file.kind}, {file.row_count:,} rows; {len(file.chains):,} chains with {legs:,} legs,"
        f" {added:,} added, {there:,} already there; {file.skipped_count:,} rows of other instruments,"
        f" {len(file.rejects):,} rejected"
    )


def _write_rejects(path: Path, rejects: Sequence[Reject]) -> str:
    """Write what was rejected; return where to."""
    if not rejects:
        return ""
    try:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(("line", "reason", "row"))
            writer.writerows((reject.line, reject.reason, reject.row) for reject in rejects)
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror}") from None
    return f"; see {path}"


@contextmanager
def _progress(console: Console, name: str, total: int, done: int) -> Iterator[Any]:
    """Show a bar where there is a terminal."""
    if not console.is_terminal:
        yield lambda _: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(name, total=total, completed=done)
        yield lambda position: progress.update(task, completed=position)
