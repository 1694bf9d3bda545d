"""The relational database of identity: opened, checked, and given its tables."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from sqlalchemy import URL, event, make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from optrading.common.state import StateError
from optrading.identity.schema import metadata

DATABASE_FILE = "identity.db"
"""Name of the SQLite database in the state directory."""

_ASYNC_DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+psycopg"}
"""What a URL means that names no driver."""


@asynccontextmanager
async def open_database(directory: Path, url: SecretStr | None = None) -> AsyncIterator[AsyncEngine]:
    """Open the database and create what tables it lacks; its connections are closed with the block.

    Args:
        directory: Where the SQLite database is kept when no URL is given.
        url: SQLAlchemy URL of another database.

    Raises:
        StateError: It cannot be opened, or is no database. The message never holds the URL's password.
    """
    try:
        place = _place(directory, url)
        engine = create_async_engine(place, hide_parameters=True)  # errors get logged; values must not
    except (SQLAlchemyError, ImportError, ValueError) as error:
        raise StateError(f"OPTRADING_DATABASE_URL names no database that can be used: {_reason(error)}") from None
    if engine.dialect.name == "sqlite":
        _prepare_file(place.database)
        event.listen(engine.sync_engine, "connect", _configure_sqlite)
    try:
        try:
            async with engine.begin() as connection:
                await connection.run_sync(metadata.create_all)
        except (SQLAlchemyError, OSError) as error:
            shown = place.render_as_string(hide_password=True)
            raise StateError(f"{shown} cannot be used as a database: {_reason(error)}") from None
        yield engine
    finally:
        await engine.dispose()


def _place(directory: Path, url: SecretStr | None) -> URL:
    if url is None:
        return URL.create("sqlite+aiosqlite", database=str(directory / DATABASE_FILE))
    place = make_url(url.get_secret_value())
    return place.set(drivername=_ASYNC_DRIVERS.get(place.drivername, place.drivername))


def _prepare_file(name: str | None) -> None:
    """Make the file before SQLite does, for its owner only; SQLite gives its -wal and -shm the same mode."""
    if not name or name == ":memory:" or name.startswith("file:"):
        return
    try:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise StateError(f"{error.filename or name}: {error.strerror}") from error


def _configure_sqlite(connection: Any, _: object) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA busy_timeout=10000")  # ms; first, since changing to WAL already may have to wait
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")  # a login that was answered survives power loss
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _reason(error: Exception) -> str:
    """Return the database's own words, without the statement and the link that SQLAlchemy adds."""
    text = str(error.orig) if isinstance(error, DBAPIError) else str(error)
    return text.splitlines()[0] if text else type(error).__name__
