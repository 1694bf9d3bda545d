from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from kiteconnect import KiteConnect

from optrading.market.chain import Chain
from optrading.testing.kite import Account, ChainTape, KiteBroker, Limits
from tests.chains import small_chain

UNLIMITED = Limits(quotes_per_s=1000, candles_per_s=1000, others_per_s=1000)
"""For tests that are not about limits."""


@dataclass(frozen=True)
class Played:
    """A broker and what it plays."""

    broker: KiteBroker
    chains: list[Chain]

    def client(self, access_token: str | None = None) -> KiteConnect:
        """Return Kite's own REST client, logged in unless told otherwise."""
        token = self.broker.account.new_access_token() if access_token is None else access_token
        return KiteConnect(self.broker.account.api_key, token or None, root=self.broker.rest_url)


@pytest.fixture
async def played() -> AsyncIterator[Played]:
    chains = [small_chain(minute=minute) for minute in range(5)]
    account = Account(redirect_url="http://127.0.0.1:1/callback")
    async with KiteBroker(ChainTape(chains), account=account, limits=UNLIMITED, heartbeat_s=30.0) as broker:
        yield Played(broker, chains)
