"""The `optrading` command. Each command reads its options here and does its work in a module of its own."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Annotated, Any

import typer

from optrading.cli.errors import CommandError
from optrading.cli.events import app as events_app
from optrading.cli.kite import app as kite_app
from optrading.common.state import StateError
from optrading.common.tls import CertificateError
from optrading.local.options import DEFAULT_HTTP_PORT, MeshOptions
from optrading.local.ports import HOST, PortError
from optrading.local.process import StartError
from optrading.local.settings import OptionError

EXPECTED = (CertificateError, CommandError, OptionError, PortError, StartError, StateError)
"""Errors that a person can mend: shown as one line."""

app = typer.Typer(
    name="optrading",
    help="Option chains of Indian indices: collected, stored, analysed and served on this machine.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.add_typer(kite_app, name="kite")
app.add_typer(events_app, name="events")

Home = Annotated[Path, typer.Option(envvar="OPTRADING_HOME", help="Folder of everything that is kept.")]
Index = Annotated[str, typer.Argument(help="Index, such as NIFTY.", show_default=False)]
Bucket = Annotated[str, typer.Option(help="this_week, next_week, this_month or next_month.")]
Expiry = Annotated[str, typer.Option(help="Expiry day, YYYY-MM-DD.")]
Strikes = Annotated[int, typer.Option(min=0, help="Strikes on each side of the money.")]


@app.command()
def up(
    home: Home = Path("var"),
    feed: Annotated[str, typer.Option(envvar="FEED", help="synthetic, replay, kite or kite-demo.")] = "synthetic",
    recording: Annotated[str, typer.Option(envvar="RECORDING", help="Recorded day, for replay and kite-demo.")] = "",
    speed: Annotated[str, typer.Option(envvar="SPEED", help="1 to 1000 times as recorded, or max.")] = "1",
    replay_end: Annotated[
        str, typer.Option(envvar="REPLAY_END", help="After the last chain: pause or loop.")
    ] = "pause",
    http_port: Annotated[str, typer.Option(envvar="OPTRADING_HTTP_PORT", help="Port of the gateway.")] = str(
        DEFAULT_HTTP_PORT
    ),
    http_host: Annotated[str, typer.Option(envvar="OPTRADING_HTTP_HOST", help="Address it listens on.")] = HOST,
    plain: Annotated[bool, typer.Option("--plain", help="Lines instead of a live table.")] = False,
) -> None:
    """Start everything and show it live; Ctrl-C stops it."""
    from optrading.cli.up import run_up  # noqa: PLC0415  # each command pays only for what it uses

    if not http_port.isdecimal():
        raise OptionError(f"OPTRADING_HTTP_PORT={http_port}: a port is a number from 1 to 65535")
    options = MeshOptions(
        home=home,
        feed=feed,
        recording=Path(recording) if recording else None,
        speed=speed,
        replay_end=replay_end,
        http_host=http_host,
        http_port=int(http_port),
    )
    raise typer.Exit(asyncio.run(run_up(options, _console(), plain=plain)))


@app.command()
def chain(
    index: Index, bucket: Bucket = "", expiry: Expiry = "", strikes: Strikes = 10, home: Home = Path("var")
) -> None:
    """Show the newest chain of an index: calls, strikes, puts."""
    from optrading.cli.queries import Selection, show_chain  # noqa: PLC0415

    _ask(home, lambda credentials, console: show_chain(credentials, Selection(index, bucket, expiry, strikes), console))


@app.command()
def greeks(
    index: Index, bucket: Bucket = "", expiry: Expiry = "", strikes: Strikes = 10, home: Home = Path("var")
) -> None:
    """Show implied volatilities and Greeks of the newest chain."""
    from optrading.cli.queries import Selection, show_greeks  # noqa: PLC0415

    _ask(
        home, lambda credentials, console: show_greeks(credentials, Selection(index, bucket, expiry, strikes), console)
    )


@app.command()
def watch(
    index: Index,
    bucket: Bucket = "",
    expiry: Expiry = "",
    strikes: Strikes = 10,
    greeks: Annotated[bool, typer.Option("--greeks", help="Analytics instead of prices.")] = False,
    count: Annotated[int, typer.Option(min=0, help="End after so many chains; 0 goes on.")] = 0,
    home: Home = Path("var"),
) -> None:
    """Show an index live, across restarts of the mesh; Ctrl-C ends it."""
    from optrading.cli.queries import Selection  # noqa: PLC0415
    from optrading.cli.watching import watch as follow  # noqa: PLC0415

    selection = Selection(index, bucket, expiry, strikes)
    _ask(home, lambda credentials, console: follow(credentials, selection, console, greeks=greeks, count=count))


@app.command()
def gaps(
    index: Index,
    since: Annotated[str, typer.Option(help="Day or time, such as 2026-08-18T09:15; India's unless it says.")] = "",
    until: Annotated[str, typer.Option(help="The same, exclusive.")] = "",
    home: Home = Path("var"),
) -> None:
    """Show what is missing of an index, why, and whether it was filled."""
    from optrading.cli.gaps import show_gaps  # noqa: PLC0415

    _ask(home, lambda credentials, console: show_gaps(credentials, console, index, since, until))


@app.command("import")
def import_(
    files: Annotated[list[Path], typer.Argument(help="Bhavcopies, recordings, NSE's JSON; also .gz, .zip.")],
    rejects: Annotated[
        Path | None, typer.Option(help="File for rows that cannot be; beside each file unless given.")
    ] = None,
    lot_size: Annotated[int | None, typer.Option(min=1, help="Units in one contract of a recording.")] = None,
    home: Home = Path("var"),
) -> None:
    """Import files into history, each chain once.

    What is there already is not added again, and an import that was broken off is gone on with.
    """
    from optrading.cli.importing import import_files  # noqa: PLC0415

    _ask(home, lambda credentials, console: import_files(credentials, console, files, rejects, lot_size))


@app.command()
def doctor(
    home: Home = Path("var"),
    http_port: Annotated[int, typer.Option(envvar="OPTRADING_HTTP_PORT", help="Port of the gateway.")] = (
        DEFAULT_HTTP_PORT
    ),
) -> None:
    """Check what a mesh needs and, when one runs, how it does.

    The exit code is 1 when anything fails.
    """
    from optrading.cli.doctor import Verdict, examine  # noqa: PLC0415

    async def run() -> bool:
        healthy = True
        async for finding in examine(home, http_port):
            typer.echo(finding.line())
            healthy = healthy and finding.verdict is not Verdict.FAIL
        return healthy

    if not asyncio.run(run()):
        raise typer.Exit(1)


@app.command()
def buckets(
    day: Annotated[str, typer.Option(help="Day in India, YYYY-MM-DD; today unless given.")] = "",
    instruments: Annotated[
        Path | None, typer.Option(help="Kite's instrument dump, CSV or gzipped; else the newest that is kept.")
    ] = None,
    holiday_file: Annotated[
        Path | None, typer.Option(envvar="HOLIDAY_FILE", help="Days that the calendar does not know or has wrong.")
    ] = None,
    home: Home = Path("var"),
) -> None:
    """Show the expiry of each bucket of each index on a day.

    For each index: the expiry, the days until then, how many strikes are listed, the lot size, the distance of the
    strikes near the money, and the narrowest and widest one there is.
    """
    from optrading.cli.buckets import find_instruments, read_day, show_buckets  # noqa: PLC0415

    wanted = read_day(day)
    show_buckets(wanted, instruments or find_instruments(home, wanted), holiday_file, _console())


@app.command()
def version() -> None:
    """Show the version."""
    typer.echo(installed_version("optrading"))


def _version_wanted(wanted: bool) -> None:
    if wanted:
        version()
        raise typer.Exit


@app.callback()
def before_any_command(
    _: Annotated[
        bool, typer.Option("--version", callback=_version_wanted, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Take the options that belong to no command."""


def main() -> None:
    """Run the command; what a person can mend is one line on stderr and exit code 1."""
    try:
        app()
    except EXPECTED as error:
        print(f"optrading: {error}", file=sys.stderr)
        sys.exit(1)


def _console() -> Any:
    """Return where to print; what is no terminal gets lines that are wide enough for every table."""
    from rich.console import Console  # noqa: PLC0415  # each command pays only for what it uses

    console = Console()
    return console if console.is_terminal or "COLUMNS" in os.environ else Console(width=160)


def _ask(home: Path, question: Callable[[Any, Any], Coroutine[Any, Any, None]]) -> None:
    """Run a question to a running mesh as the demo user."""
    from optrading.cli.client import CallError  # noqa: PLC0415
    from optrading.local.credentials import read_credentials  # noqa: PLC0415

    try:
        asyncio.run(question(read_credentials(home), _console()))
    except CallError as error:
        print(f"optrading: {error}", file=sys.stderr)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        raise typer.Exit(0) from None


if __name__ == "__main__":
    main()
