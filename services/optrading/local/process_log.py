"""The log file of one process: the previous start is kept beside it, and neither grows without end."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

LONGEST_BYTES = 16 * 1024 * 1024
"""A file that is longer is moved aside; with the one before it a process keeps at most about twice this."""


def previous(path: Path) -> Path:
    """Return where the log before `path` is."""
    return path.with_name(f"{path.name}.1")


def open_log(path: Path) -> int:
    """Begin a new log at `path`, the old one moved aside, and return the descriptor to write to.

    Raises:
        OSError: The folder cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        path.replace(previous(path))
    return reopen_log(path)


def reopen_log(path: Path) -> int:
    """Return a descriptor that appends to `path`.

    Raises:
        OSError: The folder cannot be written.
    """
    # O_APPEND: after the file is cut to nothing, its writers go on at the new end.
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


def bound_log(path: Path, longest_bytes: int = LONGEST_BYTES) -> bool:
    """Move aside what is in `path` when it is too long, while it is written to. Blocks for the copy.

    Lines written between the copy and the cut are lost: the price of writers that need no pipe, and so never wait.

    Returns:
        Whether it was too long.
    """
    try:
        if path.stat().st_size <= longest_bytes:
            return False
        shutil.copyfile(path, previous(path))
        os.truncate(path, 0)
    except FileNotFoundError:
        return False
    return True


def last_line(path: Path) -> str:
    """Return the last line that says something, without the frame of exception groups; empty when there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 4096))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    said = (line.strip(" |+-") for line in reversed(lines))
    return next((line for line in said if line), "")
