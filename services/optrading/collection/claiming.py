"""Ownership put together for a collector that serves: who it is, where its leases are, and that it gives them back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

from redis.asyncio import Redis

from optrading.collection.ownership import Owner, Ownership
from optrading.collection.settings import CollectionSettings
from optrading.common.clock import Clock
from optrading.common.leases import Leases
from optrading.common.registry import Instance, Registry


@asynccontextmanager
async def claim_indices(
    settings: CollectionSettings,
    redis: Redis,
    instance: str,
    owner: Owner,
    indices: Collection[str],
    port: int,
    clock: Clock,
) -> AsyncIterator[Ownership]:
    """Take a first look at what can be ours, and give everything back at the end.

    Args:
        settings: Ours.
        redis: Where leases are.
        instance: Who we are: the same after a restart, so that what was ours is ours at once.
        owner: Has the terms.
        indices: All that our feed brings.
        port: That we serve on.
        clock: For tokens.
    """
    host = settings.listen_address.rpartition(":")[0]
    ownership = Ownership(
        owner,
        indices,
        Leases(redis, instance, settings.lease_ttl_s),
        Registry(redis),
        Instance(instance, settings.advertised_address or f"{host}:{port}"),
        clock,
        ttl_s=settings.lease_ttl_s,
        grace_s=settings.lease_grace_s,
    )
    await ownership.look()
    try:
        yield ownership
    finally:
        await ownership.release()
