"""A lock among processes, for work not worth doing twice. What must never be done twice needs a fencing token."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import structlog
from redis.asyncio import Redis

from optrading.common.redis_client import UNREACHABLE, bounded

log = structlog.get_logger()

_PREFIX = "optrading:lock:"
_LOOK_S = 0.05

_EXTEND = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end return 0"
_RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


class LockTakenError(Exception):
    """Somebody else holds the lock, and kept it for longer than we would wait."""


class HeldLock:
    """A lock that is held.

    Attributes:
        lost: Set when it no longer is: it could not be extended in time.
    """

    def __init__(self) -> None:
        """Begin with holding it."""
        self.lost = asyncio.Event()


@asynccontextmanager
async def distributed_lock(
    redis: Redis, name: str, timeout_s: float = 300.0, wait_s: float = 0.0
) -> AsyncIterator[HeldLock]:
    """Hold the lock `name` while the block runs; it is extended as long as that takes.

    Args:
        redis: Where locks are.
        name: What is locked.
        timeout_s: After this without a word from us the lock is free again: we are dead.
        wait_s: How long to wait for whoever has it, seconds.

    Raises:
        LockTakenError: Somebody else has it.
        RedisError, OSError: Redis is away.
    """
    key, mark, ttl_ms = _PREFIX + name, secrets.token_hex(16), round(timeout_s * 1000)
    loop = asyncio.get_running_loop()
    end = loop.time() + wait_s
    while not await bounded(redis.set(key, mark, nx=True, px=ttl_ms)):
        if loop.time() >= end:
            raise LockTakenError(f"{name} is locked by another process")
        await asyncio.sleep(_LOOK_S)
    held = HeldLock()
    extending = asyncio.create_task(_extend(redis, key, mark, timeout_s, held))
    try:
        yield held
    finally:
        extending.cancel()
        await asyncio.wait([extending])
        with suppress(*UNREACHABLE):  # it ends by itself
            await bounded(redis.eval(_RELEASE, 1, key, mark))


async def _extend(redis: Redis, key: str, mark: str, timeout_s: float, held: HeldLock) -> None:
    loop = asyncio.get_running_loop()
    safe_until = loop.time() + timeout_s
    while True:
        await asyncio.sleep(timeout_s / 3)
        begun = loop.time()
        try:
            extended = await bounded(redis.eval(_EXTEND, 1, key, mark, round(timeout_s * 1000)))
        except UNREACHABLE as error:
            log.warning("lock_not_extended", lock=key, error=str(error))
            if loop.time() >= safe_until:
                held.lost.set()
                return
            continue
        if not extended:
            held.lost.set()
            return
        safe_until = begun + timeout_s
