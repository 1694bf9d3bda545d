"""A client of Redis as we use it: every call has an end, and what can go wrong has one name."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from pydantic import SecretStr
from redis.asyncio import Redis
from redis.exceptions import RedisError

T = TypeVar("T")

UNREACHABLE: tuple[type[Exception], ...] = (RedisError, OSError)
"""What a call raises while Redis is away. TimeoutError is an OSError."""

_CALL_S = 3.0


def open_redis(url: SecretStr) -> Redis:
    """Return a client that answers texts; use as `async with`. Nothing is connected before the first call."""
    # Its own socket timeout would be asyncio.wait_for, which in Python 3.11 can lose a cancellation: the service would
    # not stop. `bounded` keeps the time instead.
    return Redis.from_url(url.get_secret_value(), socket_timeout=None, socket_connect_timeout=2, decode_responses=True)


async def bounded(call: Awaitable[T], timeout_s: float = _CALL_S) -> T:
    """Return what `call` returns within `timeout_s` seconds.

    Raises:
        TimeoutError: It takes longer.
        RedisError: Redis refuses, or is away.
    """
    task = asyncio.current_task()
    cancelled_before = task.cancelling() if task is not None else 0
    try:
        async with asyncio.timeout(timeout_s):
            return await call
    finally:
        if task is not None and task.cancelling() > cancelled_before:
            # The client waits by asyncio.wait_for here and there, which in Python 3.11 can lose a cancellation.
            raise asyncio.CancelledError
