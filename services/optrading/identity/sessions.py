"""Sessions: what a login begins and a refresh continues."""

from __future__ import annotations

from dataclasses import dataclass, field

import structlog

from optrading.common.errors import InvalidArgument
from optrading.identity.refresh_tokens import RefreshTokens
from optrading.identity.tokens import AccessTokens
from optrading.identity.users import Users

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class SessionTokens:
    """What a client needs to go on.

    Attributes:
        access_token: JWT.
        refresh_token: Opaque; good for one refresh.
        expires_in_s: Life of the access token, seconds.
    """

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_in_s: int


class Sessions:
    """Begins sessions by password and continues them by refresh token."""

    def __init__(self, users: Users, access_tokens: AccessTokens, refresh_tokens: RefreshTokens) -> None:
        """Join what a session consists of."""
        self._users = users
        self._access_tokens = access_tokens
        self._refresh_tokens = refresh_tokens

    async def login(self, username: str, password: str) -> SessionTokens:
        """Begin a session.

        Raises:
            InvalidArgument: MISSING_FIELD.
            Unauthenticated: INVALID_CREDENTIALS.
            ResourceExhausted: Too many logins are waiting.
        """
        _require("username", username)
        _require("password", password)
        user = await self._users.authenticate(username, password)
        refresh_token = await self._refresh_tokens.begin(user.user_id)
        log.info("session_begun", user_id=user.user_id)
        return SessionTokens(self._access_tokens.issue(user), refresh_token, self._access_tokens.life_s)

    async def refresh(self, refresh_token: str) -> SessionTokens:
        """Continue a session with the user's permissions as they are now; the refresh token ends.

        Raises:
            InvalidArgument: MISSING_FIELD.
            Unauthenticated: INVALID_REFRESH_TOKEN.
        """
        _require("refresh_token", refresh_token)
        user, following = await self._refresh_tokens.exchange(refresh_token)
        log.info("session_continued", user_id=user.user_id)
        return SessionTokens(self._access_tokens.issue(user), following, self._access_tokens.life_s)


def _require(name: str, value: str) -> None:
    if not value:
        raise InvalidArgument(f"{name} is required", reason="MISSING_FIELD", field=name)
