"""File cursors: how far a file was worked through, and which content that was."""

from __future__ import annotations

from dataclasses import dataclass

from redis.asyncio import Redis

from optrading.common.redis_client import bounded

_PREFIX = "optrading:file-cursor:"


@dataclass(frozen=True, slots=True)
class FileCursor:
    """A place in a file.

    Attributes:
        position: What is done, in whatever unit its user counts.
        checksum: Of the content that the position is about; of another content it says nothing.
    """

    position: int
    checksum: str


async def get_file_cursor(redis: Redis, name: str) -> FileCursor | None:
    """Return the cursor of the file `name`; None when there is none.

    Raises:
        RedisError, OSError: Redis is away.
    """
    position, checksum = await bounded(redis.hmget(_PREFIX + name, ["position", "checksum"]))
    return FileCursor(int(position), str(checksum)) if position is not None and checksum is not None else None


async def set_file_cursor(redis: Redis, name: str, position: int, checksum: str) -> None:
    """Keep the cursor of the file `name`.

    Raises:
        RedisError, OSError: Redis is away.
    """
    await bounded(redis.hset(_PREFIX + name, mapping={"position": str(position), "checksum": checksum}))
