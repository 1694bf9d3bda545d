"""Consumer groups and dead letters on a real Valkey that can be killed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from google.protobuf import json_format
from typer.testing import CliRunner

from optrading.cli.__main__ import app
from optrading.cli.errors import CommandError
from optrading.common.bus import stream_of
from optrading.common.clock import SystemClock
from optrading.common.consumers import EventConsumer
from optrading.common.dead_letters import list_dead_letters, replay_dead_letter
from optrading.market.v1 import event_pb2
from tests.contract.common.redis_server import RedisServer

STORED = "legs_stored"


@pytest.fixture
async def server(tmp_path: Path):
    async with RedisServer(tmp_path / "valkey") as server:
        yield server


@pytest.fixture
async def redis(server: RedisServer):
    async with server.client() as client:
        yield client


def event(number: int) -> event_pb2.Event:
    return event_pb2.Event(event_id=f"{STORED}/NIFTY/7/{number}", event_type=STORED, service="storage")


async def tell(redis, *numbers: int, traceparent: str = "") -> None:
    for number in numbers:
        text = json_format.MessageToJson(event(number), preserving_proto_field_name=True, indent=None)
        fields = {"event_id": event(number).event_id, "event_type": STORED, "event": text, "traceparent": traceparent}
        await redis.xadd(stream_of(STORED), fields)


class Heard:
    """What the members of a group were given."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.changed = asyncio.Event()
        self.fails: Callable[[str], bool] = lambda _: False

    async def take(self, told: event_pb2.Event) -> None:
        self.ids.append(told.event_id)
        self.changed.set()
        if self.fails(told.event_id):
            raise RuntimeError("it cannot be handled")

    async def until(self, condition: Callable[[], bool], timeout_s: float = 15.0) -> None:
        async with asyncio.timeout(timeout_s):
            while not condition():
                self.changed.clear()
                await self.changed.wait()


@asynccontextmanager
async def consuming(redis, heard: Heard, name: str = "one", group: str = "readers", **changes: object):
    values = {"reclaim_after_s": 0.1, "most_deliveries": 3, **changes}
    consumer = EventConsumer(redis, [STORED], group, name, heard.take, SystemClock(), **values)
    task = asyncio.create_task(consumer.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def eventually(condition, timeout_s: float = 15.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not await condition():  # noqa: ASYNC110  # another process cannot say that it has changed
            await asyncio.sleep(0.02)


def ids(*numbers: int) -> list[str]:
    return [event(number).event_id for number in numbers]


async def test_every_notice_is_handled_in_order_and_acknowledged(redis) -> None:
    heard = Heard()
    await tell(redis, 1, 2)
    async with consuming(redis, heard):
        await tell(redis, 3)
        await heard.until(lambda: heard.ids == ids(1, 2, 3))

        async def nothing_pending() -> bool:
            return (await redis.xpending(stream_of(STORED), "readers"))["pending"] == 0

        await eventually(nothing_pending)


async def test_members_of_a_group_share_and_groups_do_not(redis) -> None:
    shared, other = Heard(), Heard()
    async with (
        consuming(redis, shared, "one"),
        consuming(redis, shared, "two"),
        consuming(redis, other, "one", "others"),
    ):
        await tell(redis, *range(20))
        await shared.until(lambda: len(shared.ids) == 20)
        await other.until(lambda: len(other.ids) == 20)
    assert sorted(shared.ids) == sorted(ids(*range(20)))


async def test_what_a_dead_member_left_is_taken_over(redis) -> None:
    await tell(redis, 1)
    await redis.xgroup_create(stream_of(STORED), "readers", id="0")
    assert await redis.xreadgroup("readers", "dead", {stream_of(STORED): ">"})
    heard = Heard()
    async with consuming(redis, heard, "alive"):
        await heard.until(lambda: heard.ids == ids(1))


async def test_what_fails_is_tried_again_and_then_buried_with_the_reason(redis) -> None:
    heard = Heard()
    heard.fails = lambda event_id: event_id == event(2).event_id
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    await tell(redis, 1, 2, 3, traceparent=trace)
    async with consuming(redis, heard):
        await eventually(lambda: _count(redis, 1))
    [letter] = await list_dead_letters(redis)
    assert heard.ids.count(event(2).event_id) == 3
    assert (letter.group, letter.deliveries) == ("readers", 3)
    assert letter.stream == stream_of(STORED)
    assert "never done" in letter.reason
    assert letter.fields["event_id"] == event(2).event_id
    assert letter.fields["traceparent"] == trace
    assert (await redis.xpending(stream_of(STORED), "readers"))["pending"] == 0


async def test_what_cannot_be_read_is_buried_at_once(redis) -> None:
    heard = Heard()
    await redis.xadd(stream_of(STORED), {"event": "{broken"})
    await redis.xadd(stream_of(STORED), {"nonsense": "1"})
    await tell(redis, 1)
    async with consuming(redis, heard):
        await heard.until(lambda: heard.ids == ids(1))
        await eventually(lambda: _count(redis, 2))
    assert all("cannot be read" in letter.reason for letter in await list_dead_letters(redis))


async def test_a_dead_letter_that_is_replayed_is_handled_and_gone(redis) -> None:
    heard = Heard()
    heard.fails = lambda _: True
    await tell(redis, 1)
    async with consuming(redis, heard):
        await eventually(lambda: _count(redis, 1))
        heard.fails = lambda _: False
        before = len(heard.ids)
        [letter] = await list_dead_letters(redis)
        assert await replay_dead_letter(redis, letter.letter_id)
        assert not await replay_dead_letter(redis, letter.letter_id)
        await heard.until(lambda: len(heard.ids) == before + 1)
    assert await list_dead_letters(redis) == []


async def test_consuming_survives_redis(server, redis) -> None:
    heard = Heard()
    async with consuming(redis, heard) as task:
        await tell(redis, 1)
        await heard.until(lambda: heard.ids == ids(1))
        await server.kill()
        await server.start()
        async with server.client() as fresh:
            await tell(fresh, 2)
            await heard.until(lambda: event(2).event_id in heard.ids)
            await fresh.delete(stream_of(STORED))
            await tell(fresh, 3)
        await heard.until(lambda: event(3).event_id in heard.ids)
        assert not task.done()


async def test_the_commands_list_and_replay_dead_letters(server, redis, tmp_path: Path) -> None:
    heard = Heard()
    heard.fails = lambda _: True
    await tell(redis, 1, 2)
    async with consuming(redis, heard):
        await eventually(lambda: _count(redis, 2))

    async def run(*arguments: str, **environment: str):
        environment = {"REDIS_URL": server.url, "OPTRADING_HOME": str(tmp_path), **environment}
        return await asyncio.to_thread(CliRunner().invoke, app, ["events", *arguments], env=environment)

    listed = await run("dead-letters", "list")
    assert event(1).event_id in listed.output
    lines = [json.loads(line) for line in (await run("dead-letters", "list", "--json")).output.splitlines()]
    assert [line["fields"]["event_id"] for line in lines] == ids(1, 2)
    assert (await run("dead-letters", "replay", lines[0]["letter_id"])).output == "1 put back\n"
    assert (await run("dead-letters", "replay", "--all")).output == "1 put back\n"
    assert (await run("dead-letters", "list")).output == "there are no dead letters\n"
    nothing = await run("dead-letters", "replay")
    assert isinstance(nothing.exception, CommandError)
    gone = await run("dead-letters", "replay", "1-1")
    assert "not there: 1-1" in str(gone.exception)
    shown = await run("tail", STORED, "--count", "1", "--group", "fresh")
    assert json.loads(shown.output)["event_id"] == event(1).event_id
    assert "no such event type" in str((await run("tail", "legs_lost")).exception)
    nobody = await run("dead-letters", "list", REDIS_URL="")
    assert "no mesh has run" in str(nobody.exception)


async def _count(redis, count: int) -> bool:
    return len(await list_dead_letters(redis)) == count
