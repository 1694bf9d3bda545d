"""A plan of faults does the same to any broker with the same clients, and its client is back each time."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from urllib.parse import urlencode

from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from optrading.testing.kite import ChainTape, FaultKind, FaultRecord, KiteBroker, plan_faults, play_faults
from tests.chains import small_chain

FAULTS = 12
WAIT_S = 30.0


class Client:
    """Stays connected and subscribed to everything, as long as it is logged in."""

    def __init__(self, broker: KiteBroker) -> None:
        self.broker = broker
        self.access_token = broker.account.new_access_token()
        self.tokens = frozenset(broker.instruments[row].token for row in range(len(broker.instruments)))

    async def run(self) -> None:
        while True:
            query = urlencode({"api_key": self.broker.account.api_key, "access_token": self.access_token})
            with suppress(OSError, WebSocketException):
                async with connect(
                    f"{self.broker.ticker_url}?{query}", ping_interval=None, close_timeout=0.1
                ) as socket:
                    await socket.send(json.dumps({"a": "subscribe", "v": sorted(self.tokens)}))
                    async for _ in socket:
                        pass
            await asyncio.sleep(0.01)


async def played(seed: int) -> list[FaultRecord]:
    chains = [small_chain(minute=minute) for minute in range(FAULTS * 4)]
    async with KiteBroker(ChainTape(chains), heartbeat_s=30.0) as broker:
        client = Client(broker)
        running = asyncio.create_task(client.run())

        async def is_back(_: FaultRecord | None = None) -> None:
            async with asyncio.timeout(WAIT_S):
                await broker.until_clients(lambda broker: broker.subscribed_tokens >= client.tokens)

        async def log_in(access_token: str) -> None:
            client.access_token = access_token

        async def pass_instants(count: int) -> None:
            await broker.advance_to(broker.position + count)

        await is_back()
        plan = plan_faults(seed, FAULTS, after=(1, 2), lasts=(1, 2))
        await play_faults(broker, plan, pass_instants=pass_instants, log_in=log_in, recovered=is_back)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return list(broker.faults.records)


async def test_the_same_plan_does_the_same_to_any_broker() -> None:
    one, other = await played(7), await played(7)
    assert {record.kind for record in one} == set(FaultKind)
    assert [(r.number, r.kind, r.event_time, r.details) for r in one] == [
        (r.number, r.kind, r.event_time, r.details) for r in other
    ]
    assert all(record.ended_at is not None and record.ended_at >= record.began_at for record in one)
