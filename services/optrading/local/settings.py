"""Settings of the mesh itself, as its processes will read them too."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from optrading.common.settings import MeshTls


class OptionError(Exception):
    """A mesh cannot be started, or a command run, like this; the text is one line that says what to change."""


class LocalSettings(BaseModel):
    """What the mesh on one machine needs to know besides its options.

    Attributes:
        mesh_tls: Who encrypts between services.
        trust_domain: Trust domain of SPIFFE identities.
        jwt_issuer: `iss` of access tokens: what identity writes and the gateway wants to see.
        jwt_audience: `aud` of access tokens, likewise.
        redis_url: A Redis or Valkey of the user's own; empty starts one.
        collectors: How many collectors share the indices; a recording is played by one.
        redis_save_enabled: Whether the one we start keeps snapshots of its memory.
        redis_save_interval: Time between two of them while anything changes, seconds.
        redis_aof_enabled: Whether it keeps a log of every change, written to disk each second.
    """

    model_config = ConfigDict(frozen=True)

    mesh_tls: MeshTls = MeshTls.IN_PROCESS
    trust_domain: str = Field(default="optrading.local", min_length=1)
    jwt_issuer: str = Field(default="optrading", min_length=1)
    jwt_audience: str = Field(default="optrading", min_length=1)
    redis_url: str = ""
    collectors: int = Field(default=1, ge=1, le=6)
    redis_save_enabled: bool = True
    redis_save_interval: int = Field(default=900, ge=1)
    redis_aof_enabled: bool = True


def read_local_settings(environment: Mapping[str, str]) -> LocalSettings:
    """Return the settings that `environment` holds.

    Raises:
        OptionError: A value is wrong; the first of them is named.
    """
    given = {name: environment[name.upper()] for name in LocalSettings.model_fields if name.upper() in environment}
    try:
        return LocalSettings.model_validate(given)
    except ValidationError as error:
        problem = error.errors()[0]
        raise OptionError(f"{str(problem['loc'][0]).upper()}={problem['input']}: {problem['msg']}") from None
