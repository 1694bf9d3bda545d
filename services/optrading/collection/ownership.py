"""Which indices are ours: a lease on each, shared out among the collectors that there are.

The lease's token is the epoch. Safety does not rest on it: storage refuses an epoch that is older than one it has seen,
and a collector that is refused stops. So one that cannot ask Redis goes on with what it has, and one that has lost an
index, as Redis says, stops it at once.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from contextlib import suppress
from typing import Protocol

import structlog

from optrading.common.clock import Clock
from optrading.common.collectors import SERVICE
from optrading.common.leases import Leases
from optrading.common.redis_client import UNREACHABLE
from optrading.common.registry import Instance, Registry
from optrading.market.codec import to_micros

log = structlog.get_logger()

POLL_S = 1.0
"""Time between two looks; a lease is renewed at each."""


class Owner(Protocol):
    """What owns indices: the pipeline."""

    @property
    def owned(self) -> Collection[str]:
        """Return what is owned now."""
        ...

    def epoch_of(self, index: str) -> int:
        """Return the epoch of an index that is owned; 0 otherwise."""
        ...

    def last_epoch_of(self, index: str) -> int:
        """Return the greatest epoch the index ever had here."""
        ...

    async def own(self, indices: Collection[str], token: int = 0, previous: int = 0) -> None:
        """Begin a term of each."""
        ...

    async def disown(self, index: str) -> None:
        """End the term of an index."""
        ...


class Ownership:
    """Takes, keeps and gives up indices."""

    def __init__(
        self,
        owner: Owner,
        indices: Collection[str],
        leases: Leases,
        registry: Registry,
        instance: Instance,
        clock: Clock,
        *,
        ttl_s: float,
        grace_s: float,
    ) -> None:
        """Decide for `owner`.

        Args:
            owner: Has the terms.
            indices: All that its feed brings.
            leases: One for each index.
            registry: Tells how many collectors share them.
            instance: Ourselves.
            clock: For tokens, and waiting.
            ttl_s: How long the registry remembers us without a word.
            grace_s: How long to wait for a Redis that is away at the start before owning everything without it.
        """
        self._owner = owner
        self._indices = sorted(indices)
        self._leases = leases
        self._registry = registry
        self._instance = instance
        self._clock = clock
        self._ttl_s = ttl_s
        self._grace_s = grace_s
        self._away_s = 0.0
        self._asked = False

    async def run(self) -> None:
        """Look again and again until cancelled."""
        while True:
            await self.look()
            await self._clock.sleep(POLL_S)

    async def look(self) -> None:
        """Renew what is ours, give up what is too much, take what is free."""
        try:
            await self._share()
        except UNREACHABLE as error:
            if self._away_s == 0:
                log.warning("leases_not_renewed", error=str(error), owned=sorted(self._owner.owned))
            self._away_s += POLL_S
            if not self._asked and self._away_s > self._grace_s:
                # With Redis gone data still flows. Should somebody else have the same thought, storage decides.
                log.warning("owning_without_leases", indices=self._indices)
                await self._owner.own(self._indices)
        else:
            self._away_s, self._asked = 0.0, True

    async def release(self) -> None:
        """Give everything back, for others to take at once."""
        with suppress(*UNREACHABLE):
            for index in sorted(self._owner.owned):
                await self._owner.disown(index)
                await self._leases.release(index)
            await self._registry.deregister(SERVICE, self._instance.instance)

    async def _share(self) -> None:
        await self._registry.register(SERVICE, self._instance, self._ttl_s)
        found = await self._registry.discover(SERVICE)
        fair = math.ceil(len(self._indices) / max(len(found.instances), 1))
        for index in sorted(self._owner.owned):
            epoch = self._owner.epoch_of(index)
            if not epoch:
                continue
            lease = await self._leases.acquire(index, epoch, epoch)
            if not lease.held:
                log.warning("index_lost", index=index, owner=lease.owner, token=lease.token)
                await self._owner.disown(index)
        for index in sorted(self._owner.owned)[fair:]:
            log.info("index_given_up", index=index, collectors=len(found.instances))
            await self._owner.disown(index)
            await self._leases.release(index)
        for index in self._indices:
            if len(self._owner.owned) >= fair:
                return
            if not self._owner.epoch_of(index):
                await self._try_to_take(index)

    async def _try_to_take(self, index: str) -> None:
        last = self._owner.last_epoch_of(index)
        least = max(to_micros(self._clock.now()) // 1000, last + 1)
        lease = await self._leases.acquire(index, least)
        if lease.held and lease.token <= last:
            # Ours from before a restart: a term that begins needs a newer epoch.
            await self._leases.release(index)
            lease = await self._leases.acquire(index, least)
        if lease.held and lease.token > last:
            await self._owner.own([index], lease.token, lease.previous)
