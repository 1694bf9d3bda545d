from __future__ import annotations

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from optrading.common.access import SCOPES
from optrading.common.errors import InvalidArgument, Unauthenticated
from optrading.identity.bootstrap import ensure_demo_user
from optrading.identity.refresh_tokens import RefreshTokens
from optrading.identity.users import User, Users

FIRST = SecretStr("the first password")
SECOND = SecretStr("the second password")


async def ensure(users: Users, tokens: RefreshTokens, password: SecretStr, *permissions: str) -> User:
    return await ensure_demo_user(users, tokens, "demo", password, permissions or SCOPES)


async def test_the_demo_user_is_made_at_the_first_start(users: Users, refresh_tokens: RefreshTokens) -> None:
    demo = await ensure(users, refresh_tokens, FIRST)
    assert demo.permissions == SCOPES
    assert await users.authenticate("demo", FIRST.get_secret_value()) == demo


async def test_doing_it_again_changes_nothing(users: Users, refresh_tokens: RefreshTokens) -> None:
    demo = await ensure(users, refresh_tokens, FIRST)
    session = await refresh_tokens.begin(demo.user_id)
    with capture_logs() as logs:
        assert await ensure(users, refresh_tokens, FIRST) == demo
    assert logs == []
    assert await users.list_all() == [demo]
    assert await refresh_tokens.exchange(session)


async def test_a_changed_password_counts_and_ends_what_the_old_one_began(
    users: Users, refresh_tokens: RefreshTokens
) -> None:
    demo = await ensure(users, refresh_tokens, FIRST)
    session = await refresh_tokens.begin(demo.user_id)
    with capture_logs() as logs:
        assert await ensure(users, refresh_tokens, SECOND) == demo
    assert "second" not in repr(logs)
    assert await users.authenticate("demo", SECOND.get_secret_value()) == demo
    with pytest.raises(Unauthenticated):
        await users.authenticate("demo", FIRST.get_secret_value())
    with pytest.raises(Unauthenticated):
        await refresh_tokens.exchange(session)


async def test_changed_permissions_count(users: Users, refresh_tokens: RefreshTokens) -> None:
    await ensure(users, refresh_tokens, FIRST)
    demo = await ensure(users, refresh_tokens, FIRST, "read_data")
    assert demo.permissions == ("read_data",)
    assert await users.list_all() == [demo]


async def test_a_disabled_demo_user_stays_disabled(users: Users, refresh_tokens: RefreshTokens) -> None:
    demo = await ensure(users, refresh_tokens, FIRST)
    await users.set_disabled(demo.user_id, disabled=True)
    assert (await ensure(users, refresh_tokens, SECOND)).disabled


async def test_a_weak_password_changes_nothing(users: Users, refresh_tokens: RefreshTokens) -> None:
    await ensure(users, refresh_tokens, FIRST)
    with pytest.raises(InvalidArgument):
        await ensure(users, refresh_tokens, SecretStr("short"))
    assert await users.authenticate("demo", FIRST.get_secret_value())
