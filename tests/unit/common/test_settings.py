from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from optrading.analytics.settings import AnalyticsSettings
from optrading.collection.settings import CollectionSettings
from optrading.common.settings import MeshTls, ServiceSettings, read_settings
from optrading.identity.settings import IdentitySettings


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in (ServiceSettings, CollectionSettings, AnalyticsSettings):
        for name, field in kind.model_fields.items():
            monkeypatch.delenv(str(field.validation_alias or name).upper(), raising=False)


def complaints(
    kind: type[ServiceSettings], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, **given: str
) -> list[str]:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as caught:
        read_settings(kind)
    assert caught.value.code == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    return printed.err.splitlines()


def test_without_any_variable_everything_has_a_value() -> None:
    settings = read_settings(ServiceSettings)
    assert settings.mesh_tls is MeshTls.IN_PROCESS
    assert settings.state("collection") == Path("var/collection")
    assert settings.tls() == Path("var/tls")
    assert settings.address_of("storage") == "127.0.0.1:50052"


def test_variables_are_read_by_their_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPTRADING_HOME", "/data")
    monkeypatch.setenv("STATE_DIRECTORY", "/state")
    monkeypatch.setenv("MESH_TLS", "sidecar")
    monkeypatch.setenv("REDIS_URL", "rediss://:word@host:6380/1?ssl_cert_reqs=required")
    settings = read_settings(ServiceSettings)
    assert (settings.state("collection"), settings.tls()) == (Path("/state"), Path("/data/tls"))
    assert settings.mesh_tls is MeshTls.SIDECAR
    assert settings.redis_url == SecretStr("rediss://:word@host:6380/1?ssl_cert_reqs=required")
    assert "word" not in repr(settings)


def test_a_variable_set_to_nothing_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REDIS_URL", "RECORDING", "REPLAY_LOT_SIZE", "STATE_DIRECTORY", "DRAIN_S", "ACTIVE_STRIKE_OFFSETS"):
        monkeypatch.setenv(name, "")
    settings = read_settings(CollectionSettings)
    assert settings.redis_url is settings.recording is settings.replay_lot_size is settings.state_directory is None
    assert settings.offsets() == {-2, -1, 0, 1, 2}


def test_variables_of_others_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.setenv("DATABASE_URL", "postgresql://somewhere/else")
    assert read_settings(ServiceSettings).home == Path("var")
    assert read_settings(IdentitySettings).database_url is None
    monkeypatch.setenv("OPTRADING_HOME", "/data")
    assert read_settings(ServiceSettings).home == Path("/data")
    assert ServiceSettings(home=Path("/given")).home == Path("/given")


def test_settings_are_never_changed() -> None:
    settings = ServiceSettings()
    with pytest.raises(ValidationError):
        settings.drain_s = 1.0  # type: ignore[misc]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MESH_TLS", "permissive"),
        ("HEARTBEAT_INTERVAL_S", "0"),
        ("STREAM_MAX_AGE_S", "-1"),
        ("DRAIN_S", "soon"),
        ("LOG_FORMAT", "xml"),
        ("LOG_LEVEL", "LOUD"),
        ("FEED", "bloomberg"),
        ("CUT_INTERVAL_S", "0.001"),
        ("REPLAY_LOT_SIZE", "0"),
        ("ACTIVE_STRIKE_OFFSETS", "near"),
        ("RECOVERY_LOG_RETENTION_DAYS", "0"),
        ("REPLAY_END", "explode"),
    ],
)
def test_a_wrong_value_is_one_line_that_names_variable_and_value(
    name: str, value: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (line,) = complaints(CollectionSettings, capsys, monkeypatch, **{name: value})
    assert line.startswith(f"{name}='{value}': ")


def test_each_wrong_value_has_its_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    lines = complaints(AnalyticsSettings, capsys, monkeypatch, RISK_FREE_RATE_PER_YEAR="7", LOG_LEVEL="x")
    assert {line.split("=")[0] for line in lines} == {"RISK_FREE_RATE_PER_YEAR", "LOG_LEVEL"}


@pytest.mark.parametrize("url", ["localhost:6379", "http://x", "redis://:swordfish@host:port", "redis://h:99999999/0"])
def test_a_wrong_redis_url_is_said_without_showing_it(
    url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (line,) = complaints(ServiceSettings, capsys, monkeypatch, REDIS_URL=url)
    assert line.startswith("REDIS_URL: not a URL such as redis://")
    assert url not in line
    assert "swordfish" not in line


@pytest.mark.parametrize(
    ("given", "offsets"),
    [
        ({}, {-2, -1, 0, 1, 2}),
        ({"FEATURE_EXTENDED_ANALYSIS": "true"}, set(range(-5, 6))),
        ({"ACTIVE_STRIKE_OFFSETS": "-1..1", "FEATURE_EXTENDED_ANALYSIS": "true"}, {-1, 0, 1}),
        ({"ACTIVE_STRIKE_OFFSETS": "all"}, None),
    ],
)
def test_strike_offsets_follow_their_two_settings(
    given: dict[str, str], offsets: set[int] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert read_settings(CollectionSettings).offsets() == offsets
