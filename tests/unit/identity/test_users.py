from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.testing import capture_logs

from optrading.common.errors import AlreadyExists, InvalidArgument, ServiceError, Unauthenticated
from optrading.identity import schema
from optrading.identity.database import open_database
from optrading.identity.passwords import Passwords
from optrading.identity.users import User, Users

from .manual_clock import ManualClock


async def test_a_user_is_listed_as_created(users: Users, clock: ManualClock) -> None:
    created = await users.create("asha", "twelve chars", ["admin_access", "read_data"])
    assert created.permissions == ("read_data", "admin_access")
    assert (created.created_at, created.disabled) == (clock.now(), False)
    assert await users.list_all() == [created]


async def test_users_are_listed_by_name_in_the_order_of_characters(users: Users) -> None:
    names = ["b", "a_b", "a.b", "a-b", "ab", "a1", "a"]
    for name in names:
        await users.create(name, "twelve chars")
    assert [user.username for user in await users.list_all()] == sorted(names)


async def test_a_user_outlives_the_service(tmp_path: Path, passwords: Passwords, clock: ManualClock) -> None:
    async with open_database(tmp_path) as engine:
        created = await Users(engine, passwords, clock).create("asha", "twelve chars")
    async with open_database(tmp_path) as engine:
        assert await Users(engine, passwords, clock).authenticate("asha", "twelve chars") == created


async def test_of_users_created_at_once_under_one_name_exactly_one_is(users: Users) -> None:
    answers = await asyncio.gather(
        *(users.create("asha", f"password of {n}") for n in range(8)), return_exceptions=True
    )
    created = [answer for answer in answers if isinstance(answer, User)]
    refused = [answer for answer in answers if isinstance(answer, AlreadyExists)]
    assert (len(created), len(refused)) == (1, 7)
    assert {error.reason for error in refused} == {"USER_EXISTS"}
    assert await users.list_all() == created


@pytest.mark.parametrize(
    ("name", "password", "permissions", "reason"),
    [
        ("Asha", "twelve chars", [], "INVALID_USERNAME"),
        ("", "twelve chars", [], "INVALID_USERNAME"),
        ("asha", "", [], "WEAK_PASSWORD"),
        ("asha", "x" * 257, [], "WEAK_PASSWORD"),
        ("asha", "twelve chars", ["root"], "UNKNOWN_PERMISSION"),
    ],
)
async def test_a_user_against_the_rules_is_not_created(
    users: Users, name: str, password: str, permissions: list[str], reason: str
) -> None:
    with pytest.raises(InvalidArgument) as refused:
        await users.create(name, password, permissions)
    assert refused.value.reason == reason
    assert await users.list_all() == []


async def test_the_right_password_tells_who_it_is(users: Users, asha: User) -> None:
    assert await users.authenticate("asha", "twelve chars") == asha


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("asha", "Twelve chars"),
        ("asha", "twelve chars "),
        ("asha", "x" * 5000),
        ("vikram", "twelve chars"),
        ("ASHA", "twelve chars"),
        ("asha\x00", "twelve chars"),
        ("' or 1=1 --", "twelve chars"),
        ("x" * 100_000, "twelve chars"),
    ],
)
async def test_whoever_is_refused_gets_the_same_answer(users: Users, asha: User, name: str, password: str) -> None:
    with pytest.raises(Unauthenticated) as refused:
        await users.authenticate(name, password)
    await users.set_disabled(asha.user_id, disabled=True)
    with pytest.raises(Unauthenticated) as disabled:
        await users.authenticate("asha", "twelve chars")
    assert told(refused.value) == told(disabled.value)
    assert refused.value.reason == "INVALID_CREDENTIALS"


def told(error: ServiceError) -> object:
    return error.to_status()


async def test_a_user_enabled_again_can_enter(users: Users, asha: User) -> None:
    await users.set_disabled(asha.user_id, disabled=True)
    await users.set_disabled(asha.user_id, disabled=False)
    assert await users.authenticate("asha", "twelve chars") == asha


async def test_a_new_password_replaces_the_old_one(users: Users, asha: User) -> None:
    await users.set_password(asha.user_id, "another password")
    assert await users.authenticate("asha", "another password") == asha
    with pytest.raises(Unauthenticated):
        await users.authenticate("asha", "twelve chars")


async def test_a_login_brings_the_hash_to_todays_cost(engine: AsyncEngine, asha: User, clock: ManualClock) -> None:
    costlier = PasswordHasher(time_cost=2, memory_cost=16, parallelism=1)
    async with Passwords(costlier) as passwords:
        users = Users(engine, passwords, clock)
        assert await users.authenticate("asha", "twelve chars") == asha
        async with engine.connect() as connection:
            (kept,) = (await connection.execute(select(schema.users.c.password_hash))).scalars()
        assert kept.startswith("$argon2id$v=19$m=16,t=2,p=1$")
        assert await users.authenticate("asha", "twelve chars") == asha


async def test_logs_tell_why_and_hold_no_password(users: Users, asha: User) -> None:
    with capture_logs() as logs:
        await users.create("vikram", "swordfish swordfish")
        for name in ("asha", "swordfish", "vikram"):
            with pytest.raises(Unauthenticated):
                await users.authenticate(name, "swordfish wrong")
    assert [entry.get("cause") for entry in logs] == [None, "wrong_password", "unknown_user", "wrong_password"]
    assert "swordfish" not in repr(logs)
