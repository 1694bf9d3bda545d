"""Access tokens: JWTs signed with EdDSA, in the profile of RFC 9068 (`at+jwt`)."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import jwt

from optrading.common.clock import Clock
from optrading.identity.keys import SigningKey
from optrading.identity.users import User

ALGORITHM = "EdDSA"
"""Of every access token; on the curve Ed25519."""

TOKEN_TYPE = "at+jwt"  # noqa: S105  # a media type, no secret
"""`typ` of every access token, so that no other JWT of ours can pass for one."""


class AccessTokens:
    """Issues access tokens. They cannot be called back: a change of permissions shows with the next one."""

    def __init__(self, key: SigningKey, clock: Clock, *, issuer: str, audience: str, life: timedelta) -> None:
        """Sign with `key`; each token is valid for `life`."""
        self._key = key
        self._clock = clock
        self._issuer = issuer
        self._audience = audience
        self.life_s = max(1, int(life.total_seconds()))

    def issue(self, user: User) -> str:
        """Return a token for `user`, valid from now for `life_s` seconds.

        Its claims: iss, sub (the user id), aud, iat, nbf, exp, jti, username, permissions (a list).
        """
        now_s = int(self._clock.now().timestamp())
        claims = {
            "iss": self._issuer,
            "sub": user.user_id,
            "aud": self._audience,
            "iat": now_s,
            "nbf": now_s,
            "exp": now_s + self.life_s,
            "jti": str(uuid4()),
            "username": user.username,
            "permissions": list(user.permissions),
        }
        headers = {"typ": TOKEN_TYPE, "kid": self._key.kid}
        return jwt.encode(claims, self._key.private, algorithm=ALGORITHM, headers=headers)
