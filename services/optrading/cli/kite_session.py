"""What `optrading kite` does: exchange a login for a session, say how long it lasts, end it."""

from __future__ import annotations

import getpass
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import typer
from pydantic import SecretStr

from optrading.cli.errors import CommandError
from optrading.collection.feeds.base import FeedError
from optrading.collection.feeds.kite.rest import KiteRest, login_url
from optrading.collection.feeds.kite.session import (
    KiteSession,
    SessionFileError,
    read_session,
    remove_session,
    session_path,
    valid_until,
    write_session,
)
from optrading.collection.feeds.kite.settings import KiteSettings
from optrading.common.exchange_calendar import HolidayFileError, load_calendar
from optrading.common.settings import read_settings
from optrading.market.clock import IST, trading_date


def login(request_token: str) -> None:
    """Exchange a request token, or the address that holds it, for a session; what is missing is asked for.

    Raises:
        CommandError: The broker does not give a session, or it cannot be kept.
    """
    settings = read_settings(KiteSettings)
    api_key = settings.kite_api_key or _ask("API key of your Kite Connect app")
    secret = settings.kite_api_secret or SecretStr(_ask_secretly("API secret"))
    if not request_token:
        page = login_url(settings.kite_login_url, api_key)
        typer.echo(f"Open this, log in, and come back with the address it leads to:\n\n  {page}\n")
        request_token = _ask("request token, or the whole address")
    try:
        told = KiteRest(settings.kite_rest_url, api_key).exchange(_token_in(request_token), secret)
        session = KiteSession(
            api_key, told.access_token, told.user_id, told.user_name, told.login_time, valid_until(told.login_time)
        )
        write_session(settings.kite_folder(), session)
    except (FeedError, SessionFileError) as error:
        raise CommandError(str(error)) from None
    typer.echo(f"logged in as {session.user_name} ({session.user_id}) until {_india(session.valid_until)}")
    typer.echo(f"kept in {session_path(settings.kite_folder())}; a collector that runs takes it at once")


def status(*, verify: bool, holiday_file: Path | None) -> None:
    """Say who is logged in, until when, and whether that reaches the next session of the market.

    Raises:
        CommandError: Somebody has to log in.
    """
    settings = read_settings(KiteSettings)
    now = datetime.now(UTC)
    session = _kept(settings)
    if session is None:
        raise CommandError("nobody is logged in; run `optrading kite login`")
    if settings.kite_api_key and session.api_key != settings.kite_api_key:
        raise CommandError("the session is of another app than KITE_API_KEY; run `optrading kite login`")
    if not session.is_valid(now):
        raise CommandError(f"the session ended at {_india(session.valid_until)}; run `optrading kite login`")
    typer.echo(f"logged in as {session.user_name} ({session.user_id}) until {_india(session.valid_until)}")
    if verify:
        try:
            name = KiteRest(settings.kite_rest_url, session.api_key, session.access_token).user_name()
        except FeedError as error:
            raise CommandError(str(error)) from None
        typer.echo(f"the broker takes it: {name}")
    opens = _next_opening(now, holiday_file)
    if session.is_valid(opens):
        typer.echo(f"it reaches the session that opens at {_india(opens)}")
    else:
        typer.echo(f"it ends before the market opens at {_india(opens)}: log in again after six that morning")


def logout() -> None:
    """End the session, here and at the broker.

    Raises:
        CommandError: It cannot be removed here.
    """
    settings = read_settings(KiteSettings)
    session = _kept(settings)
    if session is None:
        typer.echo("nobody was logged in")
        return
    problem = ""
    try:
        KiteRest(settings.kite_rest_url, session.api_key, session.access_token).invalidate()
    except FeedError as error:
        problem = f"; the broker could not be told ({error}): it ends at {_india(session.valid_until)} by itself"
    try:
        remove_session(settings.kite_folder())
    except SessionFileError as error:
        raise CommandError(str(error)) from None
    typer.echo(f"logged out{problem}")


def _kept(settings: KiteSettings) -> KiteSession | None:
    try:
        return read_session(settings.kite_folder())
    except SessionFileError as error:
        raise CommandError(str(error)) from None


def _next_opening(now: datetime, holiday_file: Path | None) -> datetime:
    """Return when the market opens next, or that it is open now."""
    year = trading_date(now).year
    try:
        calendar = load_calendar(year, (trading_date(now) + timedelta(days=60)).year, holiday_file)
    except HolidayFileError as error:
        raise CommandError(str(error)) from None
    coming = calendar.next_session(now)
    return max(coming.opens, now)


def _token_in(text: str) -> str:
    """Return the request token in an address, or the text itself."""
    found = parse_qs(urlsplit(text.strip()).query).get("request_token")
    return found[0] if found else text.strip()


def _ask(what: str) -> str:
    """Ask a person; without one there is nothing to ask."""
    if not sys.stdin.isatty():
        line = sys.stdin.readline().strip()
        if not line:
            raise CommandError(f"{what} is needed; set it in the environment or give it on standard input")
        return line
    return str(typer.prompt(what))


def _ask_secretly(what: str) -> str:
    return getpass.getpass(f"{what}: ") if sys.stdin.isatty() else _ask(what)


def _india(instant: datetime) -> str:
    return f"{instant.astimezone(IST):%a %d-%b-%Y %H:%M} IST"
