"""The pins: every one hashed, none with a registry's address, and all that pyproject.toml asks for."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from tests.conftest import ROOT

PINS = sorted((ROOT / "requirements").glob("*.txt"))


def _project() -> dict[str, object]:
    project: dict[str, object] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return project


def _name(requirement: str) -> str:
    found = re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*", requirement)
    assert found, requirement
    return re.sub(r"[-_.]+", "-", found[0]).lower()


def _logical_lines(text: str) -> list[str]:
    lines = text.replace("\\\n", " ").splitlines()
    return [line for line in lines if line.strip() and not line.lstrip().startswith("#")]


def test_there_are_pins_for_running_for_developing_and_for_installing() -> None:
    assert [path.name for path in PINS] == ["build.txt", "dev.txt", "run.txt"]


@pytest.mark.parametrize("path", PINS, ids=lambda path: path.name)
def test_every_pin_has_a_version_and_hashes(path: Path) -> None:
    lines = _logical_lines(path.read_text())
    assert lines
    wrong = [
        line
        for line in lines
        if not re.fullmatch(r"[\w.\-\[\],]+==[^\s;]+( ; [^-]+)?(\s+--hash=sha256:[0-9a-f]{64})+\s*", line)
    ]
    assert wrong == []


@pytest.mark.parametrize("path", PINS, ids=lambda path: path.name)
def test_no_pin_names_a_registry(path: Path) -> None:
    text = path.read_text()
    assert not re.search(r"https?:|--(extra-)?index-url|--find-links|--trusted-host|[\w-]+@[\w-]+:|file:", text)


def test_everything_the_project_asks_for_is_pinned() -> None:
    project = _project()
    wanted = project["dependencies"]
    extras = project["optional-dependencies"]
    assert isinstance(wanted, list)
    assert isinstance(extras, dict)
    run = {_name(line) for line in _logical_lines((ROOT / "requirements" / "run.txt").read_text())}
    dev = {_name(line) for line in _logical_lines((ROOT / "requirements" / "dev.txt").read_text())}
    assert {_name(each) for each in wanted} - run == set()
    assert {_name(each) for each in [*wanted, *extras["dev"]]} - dev == set()


def test_developers_run_what_users_run() -> None:
    def pins(name: str) -> set[str]:
        lines = _logical_lines((ROOT / "requirements" / name).read_text())
        return {line.split()[0] for line in lines}

    assert pins("run.txt") - pins("dev.txt") == set()
    assert pins("build.txt") - pins("dev.txt") <= pins("build.txt")
