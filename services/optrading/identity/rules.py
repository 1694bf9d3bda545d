"""What user names, passwords and permissions may be, and how the contract says so."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from optrading.common.access import SCOPES
from optrading.common.errors import InvalidArgument, one_of, shown

PASSWORD_MIN_CHARACTERS = 12
PASSWORD_MAX_CHARACTERS = 256

DEFAULT_PERMISSIONS = ("read_data",)
"""What a user gets when none are asked for."""

_USERNAME = re.compile(r"[a-z][a-z0-9._-]{0,63}")


def is_username(name: str) -> bool:
    """Return whether a user can be called `name`."""
    return _USERNAME.fullmatch(name) is not None


def check_username(name: str) -> str:
    """Return `name`.

    Raises:
        InvalidArgument: INVALID_USERNAME.
    """
    if not is_username(name):
        raise InvalidArgument(
            "a user name has 1 to 64 of a-z, 0-9, '.', '_', '-' and begins with a letter",
            reason="INVALID_USERNAME",
            field="username",
        )
    return name


def normal_password(password: str) -> str:
    """Return the one spelling (NFC) of `password`: keyboards differ in how they compose accented letters.

    Source: RFC 8265, section 4.2 (OpaqueString).
    """
    return unicodedata.normalize("NFC", password)


def check_password(password: str) -> str:
    """Return `password`.

    Raises:
        InvalidArgument: WEAK_PASSWORD; the message never holds the password.
    """
    characters = len(normal_password(password))
    if not PASSWORD_MIN_CHARACTERS <= characters <= PASSWORD_MAX_CHARACTERS:
        raise InvalidArgument(
            f"a password has {PASSWORD_MIN_CHARACTERS} to {PASSWORD_MAX_CHARACTERS} characters, not {characters}",
            reason="WEAK_PASSWORD",
            field="password",
        )
    return password


def check_permissions(names: Iterable[str]) -> tuple[str, ...]:
    """Return the permissions once each, in the contract's order; none asked for means `DEFAULT_PERMISSIONS`.

    Raises:
        InvalidArgument: UNKNOWN_PERMISSION.
    """
    asked = list(names)
    unknown = [name for name in asked if name not in SCOPES]
    if unknown:
        raise InvalidArgument(
            f"{shown(unknown[0])} is no permission; allowed are {one_of(SCOPES)}",
            reason="UNKNOWN_PERMISSION",
            field="permissions",
        )
    return tuple(scope for scope in SCOPES if scope in asked) or DEFAULT_PERMISSIONS
