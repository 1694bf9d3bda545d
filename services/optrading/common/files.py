"""Small files that are there whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path


def write_atomically(path: Path, content: bytes, mode: int) -> None:
    """Put `content` at `path` with `mode`, durable, in one step: readers see the old file or the new one.

    The content is never readable by more than `mode` says, also not for a moment.

    Raises:
        OSError: The folder cannot be written; nothing is left behind.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with os.fdopen(handle, "wb") as file:
            os.fchmod(handle, mode)  # the umask must not decide
            file.write(content)
            file.flush()
            os.fsync(handle)
        draft.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise
