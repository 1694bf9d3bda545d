"""`optrading up` refuses what cannot run: one line, an exit code that is not 0, nothing written."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from optrading.testing.recordings import write_recording


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "given"
    folder.mkdir()
    write_recording(folder / "day.parquet", minutes=2, strikes=3)
    content = (folder / "day.parquet").read_bytes()
    (folder / "cut.parquet").write_bytes(content[: len(content) // 2])
    (folder / "other.json").write_text('{"weather": "fine"}')
    return folder


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def up(home: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "optrading.cli", "up"],
        env={"PATH": os.environ["PATH"], "OPTRADING_HTTP_PORT": "0", "OPTRADING_HOME": str(home), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def refused(home: Path, environment: dict[str, str]) -> str:
    """Return the one line that the command says."""
    done = up(home, environment)
    assert done.returncode not in (0, None)
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert not home.exists()
    return line


@pytest.mark.parametrize(
    ("name", "said"),
    [("cut.parquet", "cut short or damaged"), ("other.json", "another shape"), ("none.parquet", "no such recording")],
)
def test_a_recording_that_cannot_be_replayed_is_named(folder: Path, tmp_path: Path, name: str, said: str) -> None:
    line = refused(tmp_path / "home", {"FEED": "replay", "RECORDING": str(folder / name)})
    assert name in line
    assert said in line


def test_a_port_in_use_says_which_setting_to_change(tmp_path: Path, taken_port: int) -> None:
    line = refused(tmp_path / "home", {"OPTRADING_HTTP_PORT": str(taken_port)})
    assert line == f"optrading: port {taken_port} is in use; set OPTRADING_HTTP_PORT"


def test_a_port_that_is_no_number_is_one_line_too(tmp_path: Path) -> None:
    assert "OPTRADING_HTTP_PORT=web" in refused(tmp_path / "home", {"OPTRADING_HTTP_PORT": "web"})


def test_a_home_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    # Below a file, and in a folder of the kernel's: nobody can write there, not even root.
    (tmp_path / "file").write_text("")
    assert str(tmp_path / "file") in refused(tmp_path / "file" / "home", {})
    if Path("/proc/self").exists():
        assert "cannot be written" in refused(Path("/proc/self/home"), {})


def test_a_wrong_setting_of_the_mesh_is_one_line(tmp_path: Path) -> None:
    assert "MESH_TLS=maybe" in refused(tmp_path / "home", {"MESH_TLS": "maybe"})


def test_a_wrong_setting_of_services_is_said_once(tmp_path: Path) -> None:
    done = up(tmp_path / "home", {"HEARTBEAT_INTERVAL_S": "soon"})
    assert done.returncode == 1
    assert "HEARTBEAT_INTERVAL_S" not in done.stdout
    (line,) = done.stderr.splitlines()
    assert " does not start: HEARTBEAT_INTERVAL_S='soon': " in line
