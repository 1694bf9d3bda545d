from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from structlog.testing import capture_logs

from optrading.common.errors import Unauthenticated
from optrading.common.state import StateError
from optrading.identity.identity import open_identity
from optrading.identity.settings import IdentitySettings

from .manual_clock import ManualClock


@pytest.fixture
def settings(tmp_path: Path) -> IdentitySettings:
    return IdentitySettings(home=tmp_path, demo_username="demo", demo_password="a good password")


async def test_a_restart_keeps_keys_users_and_sessions(
    settings: IdentitySettings, clock: ManualClock, hasher: PasswordHasher
) -> None:
    async with open_identity(settings, clock, hasher) as first:
        begun = await first.sessions.login("demo", "a good password")
    async with open_identity(settings, clock, hasher) as second:
        assert [key.kid for key in second.keys] == [key.kid for key in first.keys]
        assert await second.sessions.refresh(begun.refresh_token)


async def test_without_a_demo_user_there_is_none(tmp_path: Path, clock: ManualClock, hasher: PasswordHasher) -> None:
    async with open_identity(IdentitySettings(home=tmp_path), clock, hasher) as identity:
        assert await identity.users.list_all() == []


async def test_a_state_directory_has_one_owner(
    settings: IdentitySettings, clock: ManualClock, hasher: PasswordHasher
) -> None:
    async with open_identity(settings, clock, hasher):
        with pytest.raises(StateError, match="another running process"):
            async with open_identity(settings, clock, hasher):
                pass


async def test_expired_refresh_tokens_go_within_the_hour(
    settings: IdentitySettings, clock: ManualClock, hasher: PasswordHasher
) -> None:
    async with open_identity(settings, clock, hasher) as identity, asyncio.TaskGroup() as tasks:
        begun = await identity.sessions.login("demo", "a good password")
        with capture_logs() as logs:
            pruning = tasks.create_task(identity.prune_forever())
            for step in (timedelta(0), settings.refresh_token_life):
                clock.slept.clear()
                clock.advance(step)
                async with asyncio.timeout(10):
                    await clock.slept.wait()
        pruning.cancel()
        assert [entry["tokens"] for entry in logs if entry["event"] == "refresh_tokens_pruned"] == [0, 1]
        with pytest.raises(Unauthenticated):
            await identity.sessions.refresh(begun.refresh_token)
