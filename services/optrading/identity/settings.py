"""Settings of the identity service."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import NoDecode

from optrading.common.access import SCOPES
from optrading.common.errors import InvalidArgument
from optrading.common.settings import ServiceSettings
from optrading.identity.rules import check_password, check_permissions, check_username

SERVICE = "identity"
"""Name of the workload."""


class IdentitySettings(ServiceSettings):
    """What the identity service needs to know.

    Attributes:
        jwt_expiration_hours: Life of an access token, hours; a fraction is allowed.
        jwt_refresh_token_expire_days: Life of a refresh token, days; each use gives a new one of full life.
        jwt_issuer: `iss` of access tokens.
        jwt_audience: `aud` of access tokens.
        database_url: Where users and sessions are kept (`OPTRADING_DATABASE_URL`); SQLite in the state directory
            unless set. Secret, since it may hold a password.
        demo_username: User to create, or to bring up to date, at start. Goes with `demo_password`.
        demo_password: Password of that user.
        demo_permissions: Permissions of that user, separated by commas.
    """

    listen_address: str = "127.0.0.1:50054"
    jwt_expiration_hours: float = Field(default=24.0, gt=0, le=8760)
    jwt_refresh_token_expire_days: float = Field(default=7.0, gt=0, le=3650)
    jwt_issuer: str = Field(default="optrading", min_length=1)
    jwt_audience: str = Field(default="optrading", min_length=1)
    database_url: SecretStr | None = Field(default=None, validation_alias="OPTRADING_DATABASE_URL")
    demo_username: str | None = None
    demo_password: SecretStr | None = None
    # NoDecode: commas as people write them, instead of the JSON that pydantic-settings would want.
    demo_permissions: Annotated[tuple[str, ...], NoDecode] = SCOPES

    @field_validator("database_url", "demo_username", "demo_password", mode="before")
    @classmethod
    def _empty_is_unset(cls, value: object) -> object:
        return None if value == "" else value

    @field_validator("demo_permissions", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return [name.strip() for name in value.split(",") if name.strip()] if isinstance(value, str) else value

    @field_validator("demo_permissions")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        try:
            return check_permissions(value)
        except InvalidArgument as error:
            raise ValueError(error.message) from None

    @field_validator("demo_username")
    @classmethod
    def _name(cls, value: str | None) -> str | None:
        try:
            return value and check_username(value)
        except InvalidArgument as error:
            raise ValueError(error.message) from None

    @field_validator("demo_password")
    @classmethod
    def _password(cls, value: SecretStr | None) -> SecretStr | None:
        try:
            if value is not None:
                check_password(value.get_secret_value())
        except InvalidArgument as error:
            raise ValueError(error.message) from None
        return value

    @model_validator(mode="after")
    def _both_or_neither(self) -> Self:
        if (self.demo_username is None) != (self.demo_password is None):
            raise ValueError("DEMO_USERNAME and DEMO_PASSWORD go together: set both or neither")
        return self

    @property
    def access_token_life(self) -> timedelta:
        """Return how long an access token is valid."""
        return timedelta(hours=self.jwt_expiration_hours)

    @property
    def refresh_token_life(self) -> timedelta:
        """Return how long an unused refresh token is valid."""
        return timedelta(days=self.jwt_refresh_token_expire_days)
