"""The demo user's name and password, and where the gateway is: one small file that clients read."""

from __future__ import annotations

import json
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

from optrading.common.files import write_atomically
from optrading.common.state import StateError

USERNAME = "demo"
"""Of the user that a local mesh makes."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """How a client reaches the gateway and logs in.

    Attributes:
        username: Name of the user.
        password: Password, never shown in a representation.
        url: Where the gateway answers, such as `http://127.0.0.1:8000`.
    """

    username: str
    password: str
    url: str

    def __repr__(self) -> str:
        """Return everything but the password."""
        return f"Credentials(username={self.username!r}, url={self.url!r})"


def credentials_file(home: Path) -> Path:
    """Return where a home keeps them."""
    return home / "credentials.json"


def read_credentials(home: Path) -> Credentials:
    """Return the credentials of a home.

    Raises:
        StateError: There are none, or the file is not what it should be.
    """
    path = credentials_file(home)
    try:
        content = json.loads(path.read_bytes())
        return Credentials(str(content["username"]), str(content["password"]), str(content["url"]))
    except FileNotFoundError:
        raise StateError(f"{path} does not exist: start the mesh with `optrading up`, or set OPTRADING_HOME") from None
    except OSError as error:
        raise StateError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError):
        raise StateError(f'{path} is not {{"username", "password", "url"}}: remove it and start again') from None


def ensure_credentials(home: Path, url: str) -> Credentials:
    """Return the credentials of a home, made at first start; the file then names `url` and has mode 0600.

    Raises:
        StateError: The file cannot be written, or is not what it should be.
    """
    path = credentials_file(home)
    try:
        known = read_credentials(home) if path.exists() else Credentials(USERNAME, secrets.token_urlsafe(15), url)
        credentials = Credentials(known.username, known.password, url)
        if known != credentials or not path.exists() or path.stat().st_mode & 0o777 != 0o600:
            write_atomically(path, json.dumps(asdict(credentials), indent=2).encode() + b"\n", 0o600)
    except OSError as error:
        raise StateError(f"{path} cannot be written: {error.strerror}") from error
    return credentials
