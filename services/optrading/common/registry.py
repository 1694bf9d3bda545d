"""Which instances of a service there are: each says so again and again, and who asks remembers while Redis is away."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import structlog
from redis.asyncio import Redis

from optrading.common.files import write_atomically
from optrading.common.redis_client import UNREACHABLE, bounded

log = structlog.get_logger()

_PREFIX = "optrading:services:"


@dataclass(frozen=True, slots=True)
class Instance:
    """One running instance.

    Attributes:
        instance: Its name, unique among those of its service.
        address: host:port that it serves on.
        facts: What else it says of itself.
    """

    instance: str
    address: str
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Discovered:
    """What is known of a service.

    Attributes:
        instances: By name.
        stale: Whether Redis could not be asked, and this is what was known last.
    """

    instances: tuple[Instance, ...]
    stale: bool


class Registry:
    """Registers and finds instances."""

    def __init__(self, redis: Redis, memory: Path | None = None) -> None:
        """Use `redis`; remember what was found in the file `memory`, so that a restart without Redis knows it too."""
        self._redis = redis
        self._memory = memory
        self._known: dict[str, tuple[Instance, ...]] = _read(memory)

    async def register(self, service: str, instance: Instance, ttl_s: float) -> None:
        """Say that `instance` of `service` is there; say it again before `ttl_s` seconds have passed.

        Raises:
            RedisError, OSError: Redis is away.
        """
        key = f"{_PREFIX}{service}"
        async with self._redis.pipeline(transaction=True) as pipeline:
            pipeline.sadd(key, instance.instance)
            pipeline.set(f"{key}:{instance.instance}", json.dumps(asdict(instance)), px=round(ttl_s * 1000))
            await bounded(pipeline.execute())

    async def deregister(self, service: str, instance: str) -> None:
        """Say that it is gone.

        Raises:
            RedisError, OSError: Redis is away; it is forgotten by itself.
        """
        key = f"{_PREFIX}{service}"
        async with self._redis.pipeline(transaction=True) as pipeline:
            pipeline.srem(key, instance)
            pipeline.delete(f"{key}:{instance}")
            await bounded(pipeline.execute())

    async def discover(self, service: str) -> Discovered:
        """Return the instances of `service`; while Redis is away, those that were known last."""
        try:
            found = await self._ask(service)
        except UNREACHABLE as error:
            log.debug("discovery_stale", service=service, error=str(error))
            return Discovered(self._known.get(service, ()), stale=True)
        if found != self._known.get(service):
            self._known[service] = found
            self._remember()
        return Discovered(found, stale=False)

    async def _ask(self, service: str) -> tuple[Instance, ...]:
        key = f"{_PREFIX}{service}"
        names = sorted(str(each) for each in await bounded(self._redis.smembers(key)))
        if not names:
            return ()
        texts = await bounded(self._redis.mget([f"{key}:{name}" for name in names]))
        gone = [name for name, text in zip(names, texts, strict=True) if text is None]
        if gone:
            await bounded(self._redis.srem(key, *gone))
        return tuple(_instance(str(text)) for text in texts if text is not None)

    def _remember(self) -> None:
        if self._memory is None:
            return
        content = {service: [asdict(each) for each in instances] for service, instances in self._known.items()}
        try:
            self._memory.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self._memory, json.dumps(content).encode(), 0o600)
        except OSError as error:
            log.warning("discovery_not_remembered", error=str(error))


def _instance(text: str) -> Instance:
    return Instance(**json.loads(text))


def _read(memory: Path | None) -> dict[str, tuple[Instance, ...]]:
    try:
        content = json.loads(memory.read_bytes()) if memory is not None else {}
        return {service: tuple(Instance(**each) for each in instances) for service, instances in content.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}  # not there yet, or damaged: Redis will tell
