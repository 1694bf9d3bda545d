"""The demo user, made or brought up to date at start."""

from __future__ import annotations

from collections.abc import Iterable

import structlog
from pydantic import SecretStr

from optrading.identity.refresh_tokens import RefreshTokens
from optrading.identity.rules import check_permissions
from optrading.identity.users import User, Users

log = structlog.get_logger()


async def ensure_demo_user(
    users: Users, refresh_tokens: RefreshTokens, username: str, password: SecretStr, permissions: Iterable[str]
) -> User:
    """See to it that there is a user with this name, password and these permissions, and return it.

    A changed password ends the sessions that the old one began. A disabled user stays disabled. Doing it again
    changes nothing.

    Raises:
        InvalidArgument: The name, the password or a permission is not allowed.
    """
    granted = check_permissions(permissions)
    user = await users.find(username)
    if user is None:
        return await users.create(username, password.get_secret_value(), granted)
    if not await users.has_password(username, password.get_secret_value()):
        await users.set_password(user.user_id, password.get_secret_value())
        await refresh_tokens.end_all(user.user_id)
        log.info("demo_user_password_changed", user_id=user.user_id)
    if user.permissions != granted:
        await users.set_permissions(user.user_id, granted)
        log.info("demo_user_permissions_changed", user_id=user.user_id, permissions=granted)
    return await users.find(username) or user
