"""What `optrading events` does: follow notices as a consumer group, list dead letters, send them again."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Sequence
from dataclasses import asdict

import typer
from google.protobuf import json_format
from redis.asyncio import Redis
from rich.console import Console
from rich.table import Table

from optrading.cli.errors import CommandError
from optrading.common.clock import SystemClock
from optrading.common.consumers import EventConsumer
from optrading.common.dead_letters import list_dead_letters, replay_dead_letter
from optrading.market.v1 import event_pb2

EVENT_TYPES = tuple(
    event_pb2.Event.DESCRIPTOR.oneofs_by_name["payload"].fields[i].name
    for i in range(len(event_pb2.Event.DESCRIPTOR.oneofs_by_name["payload"].fields))
)
"""Every kind of notice."""


async def tail(redis: Redis, event_types: Sequence[str], group: str, count: int) -> None:
    """Show notices as they come.

    Raises:
        CommandError: There is no such kind of notice.
    """
    unknown = [name for name in event_types if name not in EVENT_TYPES]
    if unknown:
        raise CommandError(f"no such event type: {', '.join(unknown)}; allowed: {', '.join(EVENT_TYPES)}")
    enough = asyncio.Event()
    shown = 0

    async def show(event: event_pb2.Event) -> None:
        nonlocal shown
        if count and shown >= count:
            await asyncio.Event().wait()  # until we are cancelled: it stays pending, for the next of the group
        typer.echo(json_format.MessageToJson(event, preserving_proto_field_name=True, indent=None))
        shown += 1
        if count and shown >= count:
            enough.set()

    consumer = EventConsumer(redis, event_types or EVENT_TYPES, group, f"tail-{os.getpid()}", show, SystemClock())
    reading = asyncio.create_task(consumer.run())
    waiting = asyncio.create_task(enough.wait())
    try:
        await asyncio.wait((reading, waiting), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (reading, waiting):
            task.cancel()
        await asyncio.wait((reading, waiting))


async def show(redis: Redis, *, as_json: bool) -> None:
    """Show the dead letters."""
    letters = await list_dead_letters(redis)
    if as_json:
        for letter in letters:
            typer.echo(json.dumps(asdict(letter)))
        return
    if not letters:
        typer.echo("there are no dead letters")
        return
    table = Table("letter", "stream", "event", "group", "given", "reason")
    for letter in letters:
        event = letter.fields.get("event_id", letter.entry_id)
        table.add_row(letter.letter_id, letter.stream, event, letter.group, str(letter.deliveries), letter.reason)
    Console(width=None if os.isatty(1) else 200).print(table)


async def replay(redis: Redis, letter_ids: Sequence[str], *, everything: bool) -> None:
    """Put dead letters back.

    Raises:
        CommandError: None was named, or one is not there.
    """
    if everything == bool(letter_ids):
        raise CommandError("name the letters to replay, or give --all")
    wanted = [letter.letter_id for letter in await list_dead_letters(redis)] if everything else letter_ids
    missing = [letter_id for letter_id in wanted if not await replay_dead_letter(redis, letter_id)]
    typer.echo(f"{len(wanted) - len(missing)} put back")
    if missing:
        raise CommandError(f"not there: {', '.join(missing)}")
