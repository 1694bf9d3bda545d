"""A real Valkey in a folder, which can be killed and started again at the same port."""

from __future__ import annotations

import asyncio
from asyncio.subprocess import DEVNULL, Process
from pathlib import Path

from redis.asyncio import Redis
from redis.exceptions import RedisError

from optrading.local.ports import free_ports
from optrading.local.settings import LocalSettings
from optrading.local.valkey import Valkey


class RedisServer:
    """Use as `async with`; it keeps every change, as the one of a local mesh does."""

    def __init__(self, folder: Path) -> None:
        self._valkey = Valkey(folder, free_ports(1)[0], "swordfish")
        self._valkey.write_configuration(LocalSettings())
        self._process: Process | None = None

    @property
    def url(self) -> str:
        return self._valkey.url

    def client(self) -> Redis:
        return Redis.from_url(self.url, decode_responses=True)

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(*self._valkey.command(), stdout=DEVNULL, stderr=DEVNULL)
        async with self.client() as client:
            while not await _answers(client):  # noqa: ASYNC110  # another process cannot say that it is there
                await asyncio.sleep(0.02)

    async def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            await self._process.wait()
            self._process = None

    async def __aenter__(self) -> RedisServer:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.kill()


async def _answers(client: Redis) -> bool:
    try:
        return bool(await client.ping())
    except (RedisError, OSError):
        return False
