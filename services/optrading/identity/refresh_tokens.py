"""Refresh tokens: opaque, good for one use, each giving the next; a second use ends the whole family.

Who uses a token twice is either a thief or the one who was robbed. Nobody can tell which, so both have to log in again
(RFC 9700, section 4.14.2).
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta
from uuid import uuid4

import structlog
from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from optrading.common.clock import Clock
from optrading.common.errors import Unauthenticated
from optrading.identity.schema import refresh_families, refresh_tokens, users
from optrading.identity.users import User

log = structlog.get_logger()

_TOKEN_BYTES = 32
_TOKEN_CHARACTERS = 43
"""256 random bits in base64url."""


class RefreshTokens:
    """Issues and exchanges refresh tokens. Only their SHA-256 is kept: a stolen database opens no session."""

    def __init__(self, engine: AsyncEngine, clock: Clock, life: timedelta) -> None:
        """Keep tokens in `engine`'s database; each is valid for `life`."""
        self._engine = engine
        self._clock = clock
        self._life = life

    async def begin(self, user_id: str) -> str:
        """Begin a family and return its first token. Durable on return."""
        now, family_id = self._clock.now(), str(uuid4())
        async with self._engine.begin() as connection:
            family = {"family_id": family_id, "user_id": user_id, "created_at": now}
            await connection.execute(insert(refresh_families).values(family))
            return await self._issue(connection, family_id, now)

    async def exchange(self, token: str) -> tuple[User, str]:
        """Use `token` up; return its user as of now and the next token. Durable on return.

        Of concurrent calls with one token exactly one succeeds; the others end its family, the winner's new token
        with it.

        Raises:
            Unauthenticated: INVALID_REFRESH_TOKEN: unknown, used, expired, of an ended family or a disabled user.
        """
        if len(token) != _TOKEN_CHARACTERS:
            raise _refused("unknown")
        now, digest = self._clock.now(), _sha256(token)
        async with self._engine.begin() as connection:
            # The conditional write comes first: it takes the lock that makes one caller the winner.
            claim = update(refresh_tokens).where(refresh_tokens.c.token_sha256 == digest)
            claimed = await connection.execute(claim.where(refresh_tokens.c.used_at.is_(None)).values(used_at=now))
            row = (
                await connection.execute(
                    select(refresh_tokens.c.family_id, refresh_tokens.c.expires_at, refresh_families.c.ended_at, users)
                    .select_from(refresh_tokens.join(refresh_families).join(users))
                    .where(refresh_tokens.c.token_sha256 == digest)
                )
            ).one_or_none()
            cause = ""
            if row is None:
                cause = "unknown"
            elif claimed.rowcount == 0:
                cause = "used"
                await self._end(connection, row.family_id, now)
            elif row.ended_at is not None:
                cause = "family_ended"
            elif row.expires_at <= now:
                cause = "expired"
            elif row.disabled:
                cause = "disabled_user"
            else:
                return User.of(row), await self._issue(connection, row.family_id, now)
        # Raised outside of the transaction: what it recorded must stay.
        raise _refused(cause, None if row is None else row.user_id)

    async def end_all(self, user_id: str) -> None:
        """End every family of a user: nobody continues a session without the password."""
        families = update(refresh_families).where(refresh_families.c.user_id == user_id)
        async with self._engine.begin() as connection:
            await connection.execute(
                families.where(refresh_families.c.ended_at.is_(None)).values(ended_at=self._clock.now())
            )

    async def prune(self) -> int:
        """Delete tokens that have expired and families without tokens; return the number of tokens deleted."""
        async with self._engine.begin() as connection:
            expired = refresh_tokens.c.expires_at <= self._clock.now()
            deleted = (await connection.execute(delete(refresh_tokens).where(expired))).rowcount
            alive = select(refresh_tokens.c.family_id)
            await connection.execute(delete(refresh_families).where(refresh_families.c.family_id.not_in(alive)))
        return deleted

    async def _issue(self, connection: AsyncConnection, family_id: str, now: datetime) -> str:
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        row = {"token_sha256": _sha256(token), "family_id": family_id, "expires_at": now + self._life}
        await connection.execute(insert(refresh_tokens).values(row))
        return token

    async def _end(self, connection: AsyncConnection, family_id: str, now: datetime) -> None:
        family = update(refresh_families).where(refresh_families.c.family_id == family_id)
        ended = await connection.execute(family.where(refresh_families.c.ended_at.is_(None)).values(ended_at=now))
        if ended.rowcount:
            log.warning("refresh_token_reused", family_id=family_id)


def _sha256(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _refused(cause: str, user_id: str | None = None) -> Unauthenticated:
    log.info("refresh_refused", cause=cause, user_id=user_id)
    return Unauthenticated("the refresh token is not valid any more; log in again", reason="INVALID_REFRESH_TOKEN")
