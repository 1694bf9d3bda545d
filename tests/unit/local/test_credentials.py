"""Credentials of the demo user."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from optrading.common.state import StateError
from optrading.local.credentials import ensure_credentials, read_credentials

URL = "http://127.0.0.1:8000"


def test_the_first_start_generates_a_password_that_only_the_owner_can_read(tmp_path: Path) -> None:
    made = ensure_credentials(tmp_path, URL)
    path = tmp_path / "credentials.json"
    assert json.loads(path.read_text()) == {"username": made.username, "password": made.password, "url": URL}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(made.password) >= 16


def test_later_starts_keep_the_password_and_update_the_url(tmp_path: Path) -> None:
    made = ensure_credentials(tmp_path, URL)
    again = ensure_credentials(tmp_path, "http://127.0.0.1:9000")
    assert (again.password, again.url) == (made.password, "http://127.0.0.1:9000")
    assert read_credentials(tmp_path) == again


def test_two_homes_have_different_passwords(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert ensure_credentials(tmp_path / "a", URL).password != ensure_credentials(tmp_path / "b", URL).password


def test_a_file_that_others_could_read_is_closed(tmp_path: Path) -> None:
    ensure_credentials(tmp_path, URL)
    (tmp_path / "credentials.json").chmod(0o644)
    ensure_credentials(tmp_path, URL)
    assert stat.S_IMODE((tmp_path / "credentials.json").stat().st_mode) == 0o600


@pytest.mark.parametrize("content", ["", "[]", '{"username": "demo"}', "{"])
def test_a_damaged_file_is_named_and_not_overwritten(tmp_path: Path, content: str) -> None:
    (tmp_path / "credentials.json").write_text(content)
    with pytest.raises(StateError, match=r"credentials\.json"):
        ensure_credentials(tmp_path, URL)
    assert (tmp_path / "credentials.json").read_text() == content


def test_a_missing_file_says_how_it_comes_to_be(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="optrading up"):
        read_credentials(tmp_path)


def test_the_password_is_not_in_the_representation(tmp_path: Path) -> None:
    made = ensure_credentials(tmp_path, URL)
    assert made.password not in repr(made)
