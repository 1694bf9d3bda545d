"""`optrading kite`: log in to the broker, see how long that lasts, log out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="The session with Zerodha's Kite Connect.", no_args_is_help=True, rich_markup_mode=None)


@app.command()
def login(
    request_token: Annotated[
        str,
        typer.Argument(help="What the broker's page leads to: the token, or the address. Asked for if left out."),
    ] = "",
) -> None:
    """Log in for today: open the address that is shown, then give what it leads to.

    Key and secret come from KITE_API_KEY and KITE_API_SECRET, or are asked for.
    """
    from optrading.cli import kite_session  # noqa: PLC0415  # each command pays only for what it uses

    kite_session.login(request_token)


@app.command()
def status(
    verify: Annotated[
        bool, typer.Option("--verify", help="Ask the broker whether it still takes the session.")
    ] = False,
    holiday_file: Annotated[str, typer.Option(envvar="HOLIDAY_FILE", help="Days that the calendar has wrong.")] = "",
) -> None:
    """Say who is logged in, until when, and whether that reaches the next session of the market.

    The exit code is 1 when somebody has to log in.
    """
    from optrading.cli import kite_session  # noqa: PLC0415

    kite_session.status(verify=verify, holiday_file=Path(holiday_file) if holiday_file else None)


@app.command()
def logout() -> None:
    """End the session, here and at the broker."""
    from optrading.cli import kite_session  # noqa: PLC0415

    kite_session.logout()
