"""The configuration of the Valkey that a local mesh brings along."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from optrading.local.settings import LocalSettings
from optrading.local.valkey import Valkey, server_binary


@pytest.fixture
def valkey(tmp_path: Path) -> Valkey:
    return Valkey(tmp_path / "with space", 16_379, "secret")


def lines_of(valkey: Valkey, settings: LocalSettings) -> list[str]:
    valkey.write_configuration(settings)
    return (valkey.directory / "valkey.conf").read_text().splitlines()


def test_it_listens_on_this_machine_only_and_asks_for_a_password(valkey: Valkey) -> None:
    lines = lines_of(valkey, LocalSettings())
    assert {"bind 127.0.0.1", "port 16379", "requirepass secret", f'dir "{valkey.directory}"'} <= set(lines)
    assert stat.S_IMODE((valkey.directory / "valkey.conf").stat().st_mode) == 0o600
    assert "secret" not in " ".join(valkey.command())


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (LocalSettings(), {"save 900 1", "appendonly yes"}),
        (LocalSettings(redis_save_interval=60), {"save 60 1", "appendonly yes"}),
        (LocalSettings(redis_save_enabled=False), {'save ""', "appendonly yes"}),
        (LocalSettings(redis_aof_enabled=False), {"save 900 1", "appendonly no"}),
    ],
)
def test_persistence_follows_the_settings(valkey: Valkey, settings: LocalSettings, expected: set[str]) -> None:
    assert expected <= set(lines_of(valkey, settings))


def test_the_wheel_brings_a_server_that_can_be_executed() -> None:
    assert os.access(server_binary(), os.X_OK)
