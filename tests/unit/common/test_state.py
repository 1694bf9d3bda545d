from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from optrading.common.state import StateError, is_owned, own_state


def own(directory: Path) -> None:
    with own_state(directory):
        pass


def test_the_folder_is_made_and_can_be_owned_again(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    with own_state(folder) as owned:
        assert owned == folder
        assert folder.is_dir()
    own(folder)


def test_a_second_owner_is_refused_in_one_line(tmp_path: Path) -> None:
    with own_state(tmp_path), pytest.raises(StateError) as caught:
        own(tmp_path)
    assert str(caught.value) == f"{tmp_path} belongs to another running process"


def test_asking_whether_it_is_owned_writes_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    assert not is_owned(folder)
    assert not folder.exists()
    with own_state(folder):
        assert is_owned(folder)
    assert not is_owned(folder)


def test_the_ownership_of_a_killed_process_ends_with_it(tmp_path: Path) -> None:
    program = (
        "import sys, pathlib, optrading.common.state as s\n"
        "with s.own_state(pathlib.Path(sys.argv[1])): print('owned', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "owned\n"
        with pytest.raises(StateError, match="belongs to another running process"):
            own(tmp_path)
        other.kill()
        other.wait()
        own(tmp_path)


@pytest.mark.parametrize("name", ["file/state", "file"])
def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StateError) as caught:
        own(tmp_path / name)
    assert str(caught.value).startswith(f"{tmp_path / name} cannot be written: ")
    assert "\n" not in str(caught.value)
