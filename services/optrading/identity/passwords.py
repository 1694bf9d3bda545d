"""Password hashes: argon2id in threads of its own, so that many logins cannot starve everything else."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError

from optrading.common.errors import ResourceExhausted
from optrading.identity.rules import PASSWORD_MAX_CHARACTERS, normal_password

T = TypeVar("T")

HASHER = PasswordHasher(time_cost=3, memory_cost=64 * 1024, parallelism=1)
"""RFC 9106's second recommendation (64 MiB, three passes) with one lane: a hash takes one core for about 0.2 s."""

MAX_WAITING = 32
"""Hashes asked for and not finished, at most: about the number done while a caller still has patience (5 s)."""


class Passwords:
    """Hashes and verifies; use as `async with`.

    At most half of the cores (and 64 MiB for each) are busy with it. Further calls wait in order; beyond
    `MAX_WAITING` they are refused. A cancelled caller's hash is not begun, or, when begun, finished and dropped.
    """

    def __init__(self, hasher: PasswordHasher = HASHER) -> None:
        """Take the cost of a hash."""
        self._hasher = hasher
        self._executor = ThreadPoolExecutor(max(1, (os.cpu_count() or 1) // 2), thread_name_prefix="argon2")
        self._unfinished = 0
        self._decoy = ""

    async def hash(self, password: str) -> str:
        """Return argon2id's encoded string for `password`, with a new salt.

        Raises:
            ResourceExhausted: Too many are waiting.
        """
        return await self._run(lambda: self._hasher.hash(normal_password(password)))

    async def verify(self, password_hash: str | None, password: str) -> bool:
        """Return whether `password` is the one of `password_hash`; without a hash it is not, after the same time.

        Raises:
            ResourceExhausted: Too many are waiting.
        """
        if len(password) > PASSWORD_MAX_CHARACTERS * 4:  # no spelling of an allowed one; says nothing about the user
            return False
        same = await self._run(lambda: self._verify(password_hash or self._decoy, password))
        return same and password_hash is not None

    def is_outdated(self, password_hash: str) -> bool:
        """Return whether the hash was made at another cost than today's."""
        return self._hasher.check_needs_rehash(password_hash)

    def _verify(self, password_hash: str, password: str) -> bool:
        try:
            return self._hasher.verify(password_hash, normal_password(password))
        except VerifyMismatchError:
            return False

    async def _run(self, work: Callable[[], T]) -> T:
        if self._unfinished >= MAX_WAITING:
            raise ResourceExhausted(
                "too many logins at this moment; try again", reason="TOO_MANY_LOGINS", retry_after_s=1.0
            )
        self._unfinished += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, work)
        finally:
            self._unfinished -= 1

    async def __aenter__(self) -> Self:
        """Make the hash that passwords of unknown users are compared with."""
        self._decoy = await self.hash("a password that belongs to nobody")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Drop what was not begun and wait for the rest."""
        await asyncio.to_thread(self._executor.shutdown, cancel_futures=True)
