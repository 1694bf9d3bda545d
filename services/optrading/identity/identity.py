"""Everything the identity service consists of, opened and closed together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import grpc
import structlog
from argon2 import PasswordHasher
from sqlalchemy.exc import SQLAlchemyError

from optrading.common.clock import Clock
from optrading.common.state import own_state
from optrading.identity.bootstrap import ensure_demo_user
from optrading.identity.database import open_database
from optrading.identity.keys import SigningKey, open_keys
from optrading.identity.passwords import HASHER, Passwords
from optrading.identity.refresh_tokens import RefreshTokens
from optrading.identity.servicer import IdentityServicer
from optrading.identity.sessions import Sessions
from optrading.identity.settings import SERVICE, IdentitySettings
from optrading.identity.tokens import AccessTokens
from optrading.identity.users import Users
from optrading.identity.v1 import identity_service_pb2_grpc as pb_grpc

log = structlog.get_logger()

PRUNE_EVERY_S = 3600.0
"""An expired token is refused at once; its row goes within the hour."""


@dataclass(frozen=True, slots=True)
class Identity:
    """The parts of a running identity service."""

    keys: tuple[SigningKey, ...]
    users: Users
    refresh_tokens: RefreshTokens
    sessions: Sessions
    clock: Clock

    def add_to(self, server: grpc.aio.Server) -> None:
        """Answer the calls of `server`."""
        servicer = IdentityServicer(self.sessions, self.users, self.keys)
        pb_grpc.add_IdentityServiceServicer_to_server(servicer, server)

    async def prune_forever(self) -> None:
        """Delete expired refresh tokens, at once and every hour, until cancelled; a failure waits for the next time."""
        while True:
            try:
                deleted = await self.refresh_tokens.prune()
                log.info("refresh_tokens_pruned", tokens=deleted)
            except SQLAlchemyError as error:
                log.warning("refresh_token_pruning_failed", error=type(error).__name__)
            await self.clock.sleep(PRUNE_EVERY_S)


@asynccontextmanager
async def open_identity(
    settings: IdentitySettings, clock: Clock, hasher: PasswordHasher = HASHER
) -> AsyncIterator[Identity]:
    """Open state, keys and database, and make the demo user that `settings` name.

    Raises:
        StateError: The state directory, the keys or the database cannot be used.
    """
    with own_state(settings.state(SERVICE)) as directory:
        keys = open_keys(directory)
        async with open_database(directory, settings.database_url) as engine, Passwords(hasher) as passwords:
            users = Users(engine, passwords, clock)
            refresh_tokens = RefreshTokens(engine, clock, settings.refresh_token_life)
            access_tokens = AccessTokens(
                keys[0],
                clock,
                issuer=settings.jwt_issuer,
                audience=settings.jwt_audience,
                life=settings.access_token_life,
            )
            if settings.demo_username is not None and settings.demo_password is not None:
                await ensure_demo_user(
                    users, refresh_tokens, settings.demo_username, settings.demo_password, settings.demo_permissions
                )
            yield Identity(keys, users, refresh_tokens, Sessions(users, access_tokens, refresh_tokens), clock)
