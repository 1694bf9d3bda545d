"""A session with the broker: what a login gave, in a file that only its owner can read, until six in the morning."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

from pydantic import SecretStr

from optrading.common.files import write_atomically
from optrading.market.clock import IST

_ENDS = time(6, 0, tzinfo=IST)
"""The broker ends every session at six in the morning."""


class SessionFileError(Exception):
    """The session cannot be kept or read; the text is one line for the user."""


@dataclass(frozen=True, slots=True)
class KiteSession:
    """One login.

    Attributes:
        api_key: Key of the app that it is for.
        access_token: What every request carries.
        user_id: The broker's user.
        user_name: Name of the user.
        login_time: When the user logged in, UTC.
        valid_until: When it ends, UTC.
    """

    api_key: str
    access_token: SecretStr
    user_id: str
    user_name: str
    login_time: datetime
    valid_until: datetime

    def is_valid(self, now: datetime) -> bool:
        """Return whether it has not ended at `now`; the broker may still refuse it."""
        return now < self.valid_until


def valid_until(login_time: datetime) -> datetime:
    """Return when a session ends that began at `login_time`: the next six in the morning in India, UTC."""
    local = login_time.astimezone(IST)
    end = datetime.combine(local.date(), _ENDS)
    return (end if end > local else end + timedelta(days=1)).astimezone(UTC)


def session_path(folder: Path) -> Path:
    """Return the file of the session in the feed's folder."""
    return folder / "session.json"


def write_session(folder: Path, session: KiteSession) -> None:
    """Keep `session`, readable by its owner only.

    Raises:
        SessionFileError: The folder cannot be written.
    """
    content = {
        "api_key": session.api_key,
        "access_token": session.access_token.get_secret_value(),
        "user_id": session.user_id,
        "user_name": session.user_name,
        "login_time": session.login_time.isoformat(),
        "valid_until": session.valid_until.isoformat(),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(session_path(folder), json.dumps(content, indent=2).encode() + b"\n", 0o600)
    except OSError as error:
        raise SessionFileError(f"{session_path(folder)} cannot be written: {error.strerror}") from error


def read_session(folder: Path) -> KiteSession | None:
    """Return the session that is kept; None when there is none.

    Raises:
        SessionFileError: The file cannot be read, or is no session.
    """
    path = session_path(folder)
    try:
        content = json.loads(path.read_bytes())
        return KiteSession(
            api_key=str(content["api_key"]),
            access_token=SecretStr(str(content["access_token"])),
            user_id=str(content["user_id"]),
            user_name=str(content["user_name"]),
            login_time=datetime.fromisoformat(content["login_time"]).astimezone(UTC),
            valid_until=datetime.fromisoformat(content["valid_until"]).astimezone(UTC),
        )
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SessionFileError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError):
        raise SessionFileError(f"{path} is no session; log in anew with `optrading kite login`") from None


def remove_session(folder: Path) -> None:
    """Forget the session.

    Raises:
        SessionFileError: It cannot be removed.
    """
    try:
        session_path(folder).unlink(missing_ok=True)
    except OSError as error:
        raise SessionFileError(f"{session_path(folder)} cannot be removed: {error.strerror}") from error
