"""The folder of a service's own state: made when missing, writable, and owned by one process at a time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LOCK = "owner.lock"


class StateError(Exception):
    """The folder cannot be used."""


def is_owned(directory: Path) -> bool:
    """Return whether a running process owns `directory`; nothing is written."""
    try:
        handle = os.open(directory / _LOCK, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False  # never owned, or not to be looked at: owning it will tell
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


@contextmanager
def own_state(directory: Path) -> Iterator[Path]:
    """Own `directory` while the block runs. The kernel ends the ownership with the process, however that ends.

    Raises:
        StateError: It cannot be made or written, or another process owns it.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        handle = os.open(directory / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StateError(f"{directory} cannot be written: {error.strerror}") from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StateError(f"{directory} belongs to another running process") from None
        yield directory
    finally:
        os.close(handle)
