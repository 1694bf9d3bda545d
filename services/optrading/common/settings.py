"""Settings that every service has, and how they are read: once, from the environment, into a frozen value."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict


class MeshTls(StrEnum):
    """Who encrypts between services."""

    IN_PROCESS = "in_process"
    """Each service itself: TLS 1.3, both sides with certificates. For laptops, tests and plain hosts."""
    SIDECAR = "sidecar"
    """A sidecar of the mesh; services speak plaintext inside their pod and listen where only the sidecar reaches."""


class _Environment(EnvSettingsSource):
    """Knows a field that has an alias by this only: HOME and DATABASE_URL of the environment are somebody else's."""

    def __init__(self, kind: type[BaseSettings]) -> None:
        super().__init__(kind)
        self.config = SettingsConfigDict(**{**self.config, "populate_by_name": False, "validate_by_name": False})


class ServiceSettings(BaseSettings):
    """What every service needs to know.

    Attributes:
        home: Folder for everything that is kept (`OPTRADING_HOME`).
        state_directory: Folder for this service's own state; below `home` unless set.
        listen_address: host:port to serve gRPC on.
        mesh_tls: Who encrypts between services.
        tls_directory: Holds ca.pem, <service>.pem and <service>.key; `home`/tls unless set.
        trust_domain: Trust domain of SPIFFE identities.
        collection_address: Where the collection service is; several collectors separated by commas. Those that say so
            in Redis are found besides.
        storage_address: Where the storage service is.
        analytics_address: Where the analytics service is.
        identity_address: Where the identity service is.
        redis_url: Where events go. Without it no events are published.
        heartbeat_interval_s: Silence after which a stream says that it is alive, seconds.
        stream_max_age_s: Age at which a stream is ended so that load can move, seconds; jittered by a tenth.
        metrics_address: host:port on which this process serves its metrics for Prometheus; unset serves none.
        drain_s: Time that running calls get when the service stops, seconds.
        log_format: `json` or `console`.
        log_level: Least level that is logged.
    """

    # A variable that is set to nothing, as Compose files and shells do it, is not set.
    model_config = SettingsConfigDict(frozen=True, populate_by_name=True, extra="ignore", env_ignore_empty=True)

    home: Path = Field(default=Path("var"), validation_alias="OPTRADING_HOME")
    state_directory: Path | None = None
    listen_address: str = "127.0.0.1:0"
    mesh_tls: MeshTls = MeshTls.IN_PROCESS
    tls_directory: Path | None = None
    trust_domain: str = "optrading.local"
    collection_address: str = "127.0.0.1:50051"
    storage_address: str = "127.0.0.1:50052"
    analytics_address: str = "127.0.0.1:50053"
    identity_address: str = "127.0.0.1:50054"
    redis_url: SecretStr | None = None
    heartbeat_interval_s: float = Field(default=5.0, gt=0)
    stream_max_age_s: float = Field(default=1800.0, gt=0)
    metrics_address: str = ""
    drain_s: float = Field(default=5.0, ge=0)
    log_format: str = Field(default="json", pattern="^(json|console)$")
    log_level: str = Field(default="INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$")

    @field_validator("redis_url")
    @classmethod
    def _redis_url_can_be_read(cls, url: SecretStr | None) -> SecretStr | None:
        if url is None:
            return None
        # Not at the top: it takes half a second of computing, which a service without events does not need.
        from redis.asyncio.connection import parse_url  # noqa: PLC0415

        try:
            parse_url(url.get_secret_value())
        except ValueError:  # its text may hold a part of the password
            raise ValueError("not a URL such as redis://:password@host:6379/0, rediss://... or unix://...") from None
        return url

    @classmethod
    def settings_customise_sources(  # type: ignore[override]  # it is called by names, of which we use two
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        **_: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read what the caller gives, then the environment; there are no other sources."""
        return init_settings, _Environment(settings_cls)

    def state(self, service: str) -> Path:
        """Return the folder for the state of `service`."""
        return self.state_directory or self.home / service

    def tls(self) -> Path:
        """Return the folder of certificates."""
        return self.tls_directory or self.home / "tls"

    def address_of(self, service: str) -> str:
        """Return where `service` is."""
        return str(getattr(self, f"{service}_address"))


SettingsT = TypeVar("SettingsT", bound=ServiceSettings)


def read_settings(kind: type[SettingsT]) -> SettingsT:
    """Read `kind` from the environment; a wrong value ends the program with one line per value, secrets unshown.

    Raises:
        SystemExit: With 2 when a value is wrong.
    """
    secrets = {
        str(field.validation_alias or name)
        for name, field in kind.model_fields.items()
        if "SecretStr" in str(field.annotation)
    }
    try:
        return kind()
    except ValidationError as error:
        for problem in error.errors():
            # Pydantic's `input` is the raw text even for a secret, and all of the values for a rule about several.
            field = str(problem["loc"][0]) if problem["loc"] else ""
            name = "_".join(str(part) for part in problem["loc"]).upper()
            shown = f"{name}={problem.get('input')!r}" if field and field not in secrets else name or "settings"
            print(f"{shown}: {problem['msg'].removeprefix('Value error, ')}", file=sys.stderr)
        raise SystemExit(2) from None
