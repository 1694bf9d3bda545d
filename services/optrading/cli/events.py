"""`optrading events`: see what is told on the bus, and what nobody could handle."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any

import typer

Home = Annotated[Path, typer.Option(envvar="OPTRADING_HOME", help="Folder of everything that is kept.")]
RedisUrl = Annotated[
    str,
    typer.Option(
        envvar="REDIS_URL", help="Where events are; the one of the running mesh if left out.", show_default=False
    ),
]

app = typer.Typer(help="Notices on the event bus.", no_args_is_help=True, rich_markup_mode=None)
dead_letters = typer.Typer(help="Notices that nobody could handle.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(dead_letters, name="dead-letters")


@app.command()
def tail(
    event_type: Annotated[list[str] | None, typer.Argument(help="Such as legs_stored; all if left out.")] = None,
    group: Annotated[str, typer.Option(help="Consumer group; the same one goes on where it was.")] = "tail",
    count: Annotated[int, typer.Option(min=0, help="End after so many; 0 goes on.")] = 0,
    home: Home = Path("var"),
    redis_url: RedisUrl = "",
) -> None:
    """Show notices as they come, each once to a group, as a line of JSON."""
    from optrading.cli import event_letters  # noqa: PLC0415  # each command pays only for what it uses

    _with_redis(home, redis_url, lambda redis: event_letters.tail(redis, event_type or (), group, count))


@dead_letters.command("list")
def list_letters(
    as_json: Annotated[bool, typer.Option("--json", help="Lines of JSON instead of a table.")] = False,
    home: Home = Path("var"),
    redis_url: RedisUrl = "",
) -> None:
    """List them, oldest first, with the reason."""
    from optrading.cli import event_letters  # noqa: PLC0415

    _with_redis(home, redis_url, lambda redis: event_letters.show(redis, as_json=as_json))


@dead_letters.command("replay")
def replay(
    letter_id: Annotated[list[str] | None, typer.Argument(help="Which; see list.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
    home: Home = Path("var"),
    redis_url: RedisUrl = "",
) -> None:
    """Put them back on their stream, for every group to see."""
    from optrading.cli import event_letters  # noqa: PLC0415

    _with_redis(home, redis_url, lambda redis: event_letters.replay(redis, letter_id or (), everything=everything))


def _with_redis(home: Path, redis_url: str, work: Callable[[Any], Coroutine[Any, Any, None]]) -> None:
    from pydantic import SecretStr  # noqa: PLC0415

    from optrading.cli.errors import CommandError  # noqa: PLC0415
    from optrading.common.redis_client import UNREACHABLE, open_redis  # noqa: PLC0415
    from optrading.local.valkey import read_url  # noqa: PLC0415

    url = redis_url or read_url(home)
    if not url:
        raise CommandError(f"no mesh has run in {home}; set REDIS_URL or OPTRADING_HOME")

    async def run() -> None:
        async with open_redis(SecretStr(url)) as redis:
            await work(redis)

    try:
        asyncio.run(run())
    except UNREACHABLE as error:
        raise CommandError(f"the event bus cannot be reached ({type(error).__name__})") from None
    except KeyboardInterrupt:
        raise typer.Exit(0) from None
