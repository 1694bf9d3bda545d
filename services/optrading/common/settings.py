"""Settings that every service has, and how they are read: once, from the environment, into a frozen value."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict


class MeshTls(StrEnum):
    """Who encrypts between services."""

    IN_PROCESS = "in_process"
    """Each service itself: TLS 1.3, both sides with certificates. For laptops, tests and plain hosts."""
    SIDECAR = "sidecar"
    """A sidecar of the mesh; services speak plaintext inside their pod and listen where only the sidecar reaches."""


class ServiceSettings(BaseSettings):
    """What every service needs to know.

    Attributes:
        home: Folder for everything that is kept (`OPTRADING_HOME`).
        state_directory: Folder for this service's own state; below `home` unless set.
        listen_address: host:port to serve gRPC on.
        mesh_tls: Who encrypts between services.
        tls_directory: Holds ca.pem, <service>.pem and <service>.key; `home`/tls unless set.
        trust_domain: Trust domain of SPIFFE identities.
        collection_address: Where the collection service is.
        storage_address: Where the storage service is.
        analytics_address: Where the analytics service is.
        identity_address: Where the identity service is.
        redis_url: Where events go. Without it no events are published.
        heartbeat_interval_s: Silence after which a stream says that it is alive, seconds.
        stream_max_age_s: Age at which a stream is ended so that load can move, seconds; jittered by a tenth.
        drain_s: Time that running calls get when the service stops, seconds.
        log_format: `json` or `console`.
        log_level: Least level that is logged.
    """

    model_config = SettingsConfigDict(frozen=True, populate_by_name=True, extra="ignore")

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
    drain_s: float = Field(default=5.0, ge=0)
    log_format: str = Field(default="json", pattern="^(json|console)$")
    log_level: str = Field(default="INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$")

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
