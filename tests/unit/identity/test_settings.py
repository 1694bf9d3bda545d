from __future__ import annotations

from datetime import timedelta

import pytest

from optrading.common.settings import read_settings
from optrading.identity.settings import IdentitySettings


@pytest.fixture(autouse=True)
def no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in IdentitySettings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.delenv("OPTRADING_DATABASE_URL", raising=False)


def test_tokens_live_a_day_and_refresh_tokens_a_week_unless_set() -> None:
    settings = read_settings(IdentitySettings)
    assert settings.access_token_life == timedelta(hours=24)
    assert settings.refresh_token_life == timedelta(days=7)
    assert (settings.jwt_issuer, settings.jwt_audience) == ("optrading", "optrading")


def test_lives_are_read_from_the_names_people_know(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JWT_EXPIRATION_HOURS", "0.5")
    monkeypatch.setenv("JWT_REFRESH_TOKEN_EXPIRE_DAYS", "30")
    settings = read_settings(IdentitySettings)
    assert settings.access_token_life == timedelta(minutes=30)
    assert settings.refresh_token_life == timedelta(days=30)


@pytest.mark.parametrize("hours", ["0", "-1", "nan", "inf", "a day", "9000"])
def test_an_impossible_life_ends_the_program_with_one_line(
    hours: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("JWT_EXPIRATION_HOURS", hours)
    with pytest.raises(SystemExit) as ended:
        read_settings(IdentitySettings)
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"JWT_EXPIRATION_HOURS={hours!r}: ")


def test_the_demo_user_has_all_permissions_unless_set(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_settings(IdentitySettings).demo_permissions == ("read_data", "write_data", "admin_access")
    monkeypatch.setenv("DEMO_PERMISSIONS", " write_data , read_data,")
    assert read_settings(IdentitySettings).demo_permissions == ("read_data", "write_data")


def test_empty_variables_are_as_good_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DEMO_USERNAME", "DEMO_PASSWORD", "OPTRADING_DATABASE_URL"):
        monkeypatch.setenv(name, "")
    settings = read_settings(IdentitySettings)
    assert (settings.demo_username, settings.demo_password, settings.database_url) == (None, None, None)


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"DEMO_USERNAME": "demo"}, "set both or neither"),
        ({"DEMO_PASSWORD": "swordfish swordfish"}, "set both or neither"),
        ({"DEMO_USERNAME": "demo", "DEMO_PASSWORD": "swordfish"}, "DEMO_PASSWORD: a password has 12 to 256"),
        ({"DEMO_USERNAME": "De mo", "DEMO_PASSWORD": "swordfish swordfish"}, "begins with a letter"),
        ({"DEMO_PERMISSIONS": "everything"}, "allowed are read_data"),
    ],
)
def test_a_wrong_demo_user_is_refused_and_the_password_is_never_shown(
    variables: dict[str, str], says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended:
        read_settings(IdentitySettings)
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert says in said
    assert "swordfish" not in said


def test_secrets_are_hidden_when_settings_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEMO_USERNAME", "demo")
    monkeypatch.setenv("DEMO_PASSWORD", "swordfish swordfish")
    monkeypatch.setenv("OPTRADING_DATABASE_URL", "postgresql://u:swordfish@db/identity")
    assert "swordfish" not in repr(read_settings(IdentitySettings))
