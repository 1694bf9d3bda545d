from __future__ import annotations

from datetime import UTC, datetime, timedelta

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from optrading.common.errors import InvalidArgument
from optrading.identity.keys import SigningKey
from optrading.identity.refresh_tokens import RefreshTokens
from optrading.identity.sessions import Sessions
from optrading.identity.tokens import AccessTokens
from optrading.identity.users import User, Users

from .manual_clock import ManualClock

KEY = SigningKey.of(Ed25519PrivateKey.generate())


@pytest.fixture
def sessions(users: Users, refresh_tokens: RefreshTokens) -> Sessions:
    names = {"issuer": "optrading", "audience": "optrading"}
    access_tokens = AccessTokens(KEY, ManualClock(datetime.now(UTC)), life=timedelta(hours=2), **names)
    return Sessions(users, access_tokens, refresh_tokens)


def permissions_in(token: str) -> list[str]:
    claims = jwt.decode(token, KEY.private.public_key(), algorithms=["EdDSA"], audience="optrading")
    return list(claims["permissions"])


async def test_a_session_begins_with_a_login_and_goes_on_with_refreshes(sessions: Sessions, asha: User) -> None:
    begun = await sessions.login("asha", "twelve chars")
    continued = await sessions.refresh(begun.refresh_token)
    again = await sessions.refresh(continued.refresh_token)
    assert [tokens.expires_in_s for tokens in (begun, continued, again)] == [7200] * 3
    assert permissions_in(again.access_token) == ["read_data"]


async def test_changed_permissions_show_with_the_next_refresh(sessions: Sessions, users: Users, asha: User) -> None:
    begun = await sessions.login("asha", "twelve chars")
    await users.set_permissions(asha.user_id, ["write_data", "read_data"])
    continued = await sessions.refresh(begun.refresh_token)
    assert permissions_in(begun.access_token) == ["read_data"]
    assert permissions_in(continued.access_token) == ["read_data", "write_data"]


@pytest.mark.parametrize(("username", "password", "field"), [("", "x", "username"), ("asha", "", "password")])
async def test_a_login_needs_both_fields(sessions: Sessions, username: str, password: str, field: str) -> None:
    with pytest.raises(InvalidArgument, match=f"{field} is required") as refused:
        await sessions.login(username, password)
    assert (refused.value.reason, refused.value.field) == ("MISSING_FIELD", field)


async def test_a_refresh_needs_a_token(sessions: Sessions) -> None:
    with pytest.raises(InvalidArgument) as refused:
        await sessions.refresh("")
    assert (refused.value.reason, refused.value.field) == ("MISSING_FIELD", "refresh_token")


async def test_tokens_do_not_show_when_a_session_is_printed(sessions: Sessions, asha: User) -> None:
    tokens = await sessions.login("asha", "twelve chars")
    assert repr(tokens) == "SessionTokens(expires_in_s=7200)"
