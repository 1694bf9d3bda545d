"""The users: created, found, listed, and told apart from those who only claim to be them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

import structlog
from sqlalchemy import Row, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from optrading.common.clock import Clock
from optrading.common.errors import AlreadyExists, ResourceExhausted, Unauthenticated
from optrading.identity.passwords import Passwords
from optrading.identity.rules import check_password, check_permissions, check_username, is_username
from optrading.identity.schema import users

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class User:
    """A user, without secrets.

    Attributes:
        user_id: UUID; never changes, never used again.
        username: Name at login.
        permissions: In the contract's order.
        created_at: UTC.
        disabled: Whether login and refresh are refused.
    """

    user_id: str
    username: str
    permissions: tuple[str, ...]
    created_at: datetime
    disabled: bool

    @classmethod
    def of(cls, row: Row[Any]) -> User:
        """Return the user in a row that holds the columns of `users`."""
        return cls(row.user_id, row.username, tuple(row.permissions), row.created_at, row.disabled)


class Users:
    """Every user there is. Each call is one transaction, durable when it returns."""

    def __init__(self, engine: AsyncEngine, passwords: Passwords, clock: Clock) -> None:
        """Keep users in `engine`'s database."""
        self._engine = engine
        self._passwords = passwords
        self._clock = clock

    async def create(self, username: str, password: str, permissions: Iterable[str] = ()) -> User:
        """Create a user.

        Raises:
            InvalidArgument: INVALID_USERNAME, WEAK_PASSWORD or UNKNOWN_PERMISSION.
            AlreadyExists: USER_EXISTS.
        """
        check_username(username)
        check_password(password)
        granted = check_permissions(permissions)
        if await self.find(username) is not None:  # spares the hash; the constraint below decides
            raise _exists(username)
        password_hash = await self._passwords.hash(password)
        user = User(str(uuid4()), username, granted, self._clock.now(), disabled=False)
        row = {
            "user_id": user.user_id,
            "username": user.username,
            "password_hash": password_hash,
            "permissions": list(user.permissions),
            "created_at": user.created_at,
            "disabled": user.disabled,
        }
        try:
            async with self._engine.begin() as connection:
                await connection.execute(insert(users).values(row))
        except IntegrityError:
            raise _exists(username) from None
        log.info("user_created", user_id=user.user_id, username=user.username, permissions=user.permissions)
        return user

    async def list_all(self) -> list[User]:
        """Return all users, ascending by name."""
        async with self._engine.connect() as connection:
            rows = (await connection.execute(select(users))).all()
        # Here and not in SQL: databases differ in how they order '.', '_' and '-'.
        return sorted((User.of(row) for row in rows), key=lambda user: user.username)

    async def find(self, username: str) -> User | None:
        """Return the user of that name, if there is one."""
        row = await self._row(username)
        return None if row is None else User.of(row)

    async def authenticate(self, username: str, password: str) -> User:
        """Return the user whose name and password these are.

        An unknown name takes as long as a wrong password, and both get the same answer, as does a disabled user.

        Raises:
            Unauthenticated: INVALID_CREDENTIALS.
            ResourceExhausted: Too many logins are waiting.
        """
        row = await self._row(username)
        same = await self._passwords.verify(None if row is None else row.password_hash, password)
        if row is None or not same or row.disabled:
            cause = "unknown_user" if row is None else "disabled_user" if same else "wrong_password"
            # The name is logged for known users only: people type passwords into the field above.
            log.info("login_refused", cause=cause, user_id=None if row is None else row.user_id)
            raise Unauthenticated("user name or password is wrong", reason="INVALID_CREDENTIALS")
        if self._passwords.is_outdated(row.password_hash):
            await self._rehash(row, password)
        return User.of(row)

    async def has_password(self, username: str, password: str) -> bool:
        """Return whether there is such a user with this password, disabled or not."""
        row = await self._row(username)
        return await self._passwords.verify(None if row is None else row.password_hash, password)

    async def set_password(self, user_id: str, password: str) -> None:
        """Replace the password.

        Raises:
            InvalidArgument: WEAK_PASSWORD.
        """
        check_password(password)
        await self._update(user_id, password_hash=await self._passwords.hash(password))

    async def set_permissions(self, user_id: str, permissions: Iterable[str]) -> None:
        """Replace the permissions; tokens show them from the next login or refresh on.

        Raises:
            InvalidArgument: UNKNOWN_PERMISSION.
        """
        await self._update(user_id, permissions=list(check_permissions(permissions)))

    async def set_disabled(self, user_id: str, *, disabled: bool) -> None:
        """Refuse the user's logins and refreshes, or allow them again."""
        await self._update(user_id, disabled=disabled)

    async def _row(self, username: str) -> Row[Any] | None:
        if not is_username(username):  # nobody's name; and no stranger's text reaches the database
            return None
        async with self._engine.connect() as connection:
            return (await connection.execute(select(users).where(users.c.username == username))).one_or_none()

    async def _rehash(self, row: Row[Any], password: str) -> None:
        try:
            password_hash = await self._passwords.hash(password)
        except ResourceExhausted:  # the login succeeded; the hash can wait for the next one
            return
        # Only in place of the hash that was verified: the password may have changed meanwhile.
        same = (users.c.user_id == row.user_id) & (users.c.password_hash == row.password_hash)
        async with self._engine.begin() as connection:
            await connection.execute(update(users).where(same).values(password_hash=password_hash))

    async def _update(self, user_id: str, **values: object) -> None:
        async with self._engine.begin() as connection:
            await connection.execute(update(users).where(users.c.user_id == user_id).values(**values))


def _exists(username: str) -> AlreadyExists:
    return AlreadyExists(f"there is a user {username} already", reason="USER_EXISTS", field="username")
