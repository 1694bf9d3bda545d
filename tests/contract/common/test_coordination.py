"""Leases, registry, locks and cursors on a real Valkey that can be killed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from optrading.common.cursors import FileCursor, get_file_cursor, set_file_cursor
from optrading.common.leases import Leases
from optrading.common.locks import LockTakenError, distributed_lock
from optrading.common.redis_client import UNREACHABLE
from optrading.common.registry import Instance, Registry
from tests.contract.common.redis_server import RedisServer

ONE = Instance("one", "127.0.0.1:50051", {"indices": "NIFTY"})
OTHER = Instance("other", "127.0.0.1:50061")


@pytest.fixture
async def server(tmp_path: Path):
    async with RedisServer(tmp_path / "valkey") as server:
        yield server


@pytest.fixture
async def redis(server: RedisServer):
    async with server.client() as client:
        yield client


async def eventually(condition, timeout_s: float = 10.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not await condition():  # noqa: ASYNC110  # another process cannot say that it has changed
            await asyncio.sleep(0.02)


async def test_one_owner_has_a_lease_and_keeps_its_token(redis) -> None:
    ours, theirs = Leases(redis, "a", 5.0), Leases(redis, "b", 5.0)
    first = await ours.acquire("NIFTY", 1_000)
    assert (first.held, first.token, first.owner) == (True, 1_000, "a")
    refused = await theirs.acquire("NIFTY", 9_000)
    assert (refused.held, refused.token, refused.owner) == (False, 1_000, "a")
    assert (await ours.acquire("NIFTY", 5_000, first.token)).token == 1_000


async def test_a_lease_that_ends_goes_to_the_next_with_a_greater_token(redis) -> None:
    ours, theirs = Leases(redis, "a", 0.1), Leases(redis, "b", 5.0)
    first = await ours.acquire("NIFTY", 1_790_000_000_000)
    await eventually(lambda: _held(theirs.acquire("NIFTY", 1)))
    second = await theirs.acquire("NIFTY", 1)
    assert second.token == first.token + 1
    assert (first.previous, second.previous) == (0, second.token)
    late = await ours.acquire("NIFTY", 1, first.token)
    assert (late.held, late.owner) == (False, "b")


async def test_a_holder_that_was_away_keeps_its_lease_only_when_nobody_had_it_since(redis) -> None:
    ours, theirs = Leases(redis, "a", 0.1), Leases(redis, "b", 5.0)
    first = await ours.acquire("NIFTY", 1_000)
    await eventually(lambda: _gone(redis, "optrading:lease:NIFTY"))
    again = await ours.acquire("NIFTY", 9_999, first.token)
    assert (again.held, again.token) == (True, first.token)
    await eventually(lambda: _held(theirs.acquire("NIFTY", 1)))
    await theirs.release("NIFTY")
    late = await ours.acquire("NIFTY", 9_999, first.token)
    assert (late.held, late.owner) == (False, "")
    assert (await ours.acquire("NIFTY", 1)).token == first.token + 2


async def test_a_lease_that_is_given_back_is_free_at_once_and_only_its_owner_gives_it_back(redis) -> None:
    ours, theirs = Leases(redis, "a", 60.0), Leases(redis, "b", 60.0)
    await ours.acquire("NIFTY", 1)
    await theirs.release("NIFTY")
    assert not (await theirs.acquire("NIFTY", 1)).held
    await ours.release("NIFTY")
    assert (await theirs.acquire("NIFTY", 1)).held


async def test_without_redis_nothing_is_said_of_a_lease(server, redis) -> None:
    await server.kill()
    with pytest.raises(UNREACHABLE):
        await Leases(redis, "a", 5.0).acquire("NIFTY", 1)


async def test_instances_are_found_while_they_say_that_they_are_there(redis) -> None:
    registry = Registry(redis)
    await registry.register("collection", ONE, 0.2)
    await registry.register("collection", OTHER, 60.0)
    assert (await registry.discover("collection")).instances == (ONE, OTHER)

    async def only_other() -> bool:
        return (await registry.discover("collection")).instances == (OTHER,)

    await eventually(only_other)
    await registry.deregister("collection", "other")
    assert (await registry.discover("collection")).instances == ()


async def test_discovery_survives_redis_and_a_restart_without_it(server, redis, tmp_path: Path) -> None:
    memory = tmp_path / "registry.json"
    registry = Registry(redis, memory)
    await registry.register("collection", ONE, 60.0)
    assert not (await registry.discover("collection")).stale
    await server.kill()
    for known in (registry, Registry(redis, memory)):
        found = await known.discover("collection")
        assert (found.instances, found.stale) == ((ONE,), True)
    memory.write_text("{")
    assert (await Registry(redis, memory).discover("collection")).instances == ()


async def test_a_lock_is_held_by_one_and_free_after_the_block(redis) -> None:
    async with distributed_lock(redis, "processing_nifty", timeout_s=5.0) as held:
        with pytest.raises(LockTakenError, match="processing_nifty"):
            async with distributed_lock(redis, "processing_nifty"):
                raise AssertionError("two hold it")
        assert not held.lost.is_set()
    async with distributed_lock(redis, "processing_nifty"):
        pass


async def test_a_lock_is_waited_for_and_extended_while_it_is_held(redis) -> None:
    order: list[str] = []

    async def second() -> None:
        async with distributed_lock(redis, "job", wait_s=10.0):
            order.append("second")

    async with distributed_lock(redis, "job", timeout_s=0.3) as held:
        waiting = asyncio.create_task(second())
        twice_as_long = asyncio.get_running_loop().time() + 0.6
        await eventually(lambda: _is_past(twice_as_long))
        assert not held.lost.is_set()
        order.append("first")
    await waiting
    assert order == ["first", "second"]


async def test_a_lock_that_is_lost_says_so_and_its_next_holder_keeps_it(redis) -> None:
    async with distributed_lock(redis, "job", timeout_s=0.3) as held:
        await redis.set("optrading:lock:job", "somebody else")
        async with asyncio.timeout(10):
            await held.lost.wait()
    assert await redis.get("optrading:lock:job") == "somebody else"


async def test_a_file_cursor_is_kept_with_the_content_that_it_is_about(redis) -> None:
    assert await get_file_cursor(redis, "nifty_data.csv") is None
    await set_file_cursor(redis, "nifty_data.csv", 42, "abc")
    assert await get_file_cursor(redis, "nifty_data.csv") == FileCursor(42, "abc")
    await set_file_cursor(redis, "nifty_data.csv", 7, "def")
    assert await get_file_cursor(redis, "nifty_data.csv") == FileCursor(7, "def")


async def _is_past(instant: float) -> bool:
    return asyncio.get_running_loop().time() > instant


async def _held(lease) -> bool:
    return (await lease).held


async def _gone(redis, key: str) -> bool:
    return not await redis.exists(key)
