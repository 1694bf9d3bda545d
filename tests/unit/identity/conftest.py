"""Identity's parts on a real SQLite file, with a cheap hash and a clock of the test's own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from sqlalchemy.ext.asyncio import AsyncEngine

from optrading.identity.database import open_database
from optrading.identity.passwords import Passwords
from optrading.identity.refresh_tokens import RefreshTokens
from optrading.identity.users import User, Users

from .manual_clock import ManualClock

CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
"""Argon2id all the same, in microseconds."""


@pytest.fixture
def hasher() -> PasswordHasher:
    return CHEAP


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    async with open_database(tmp_path) as engine:
        yield engine


@pytest.fixture
async def passwords() -> AsyncIterator[Passwords]:
    async with Passwords(CHEAP) as passwords:
        yield passwords


@pytest.fixture
def users(engine: AsyncEngine, passwords: Passwords, clock: ManualClock) -> Users:
    return Users(engine, passwords, clock)


@pytest.fixture
def refresh_tokens(engine: AsyncEngine, clock: ManualClock) -> RefreshTokens:
    return RefreshTokens(engine, clock, timedelta(days=7))


@pytest.fixture
async def asha(users: Users) -> User:
    return await users.create("asha", "twelve chars", ["read_data"])
