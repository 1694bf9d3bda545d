"""What the repository's own tests share: its files, and a copy of the contract that buf can work in."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pytest

from tests.conftest import ROOT

SOURCE = ROOT / "services" / "optrading"


@cache
def repository_files() -> tuple[Path, ...]:
    """Return every file that is, or is about to be, part of the repository, relative to it."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return tuple(path for path in map(Path, listed.rstrip("\0").split("\0")) if (ROOT / path).is_file())


def is_generated(path: Path) -> bool:
    """Tell whether a file is written by buf."""
    return path.name.endswith(("_pb2.py", "_pb2.pyi", "_pb2_grpc.py", "_pb2_grpc.pyi"))


@cache
def python_files(folder: str) -> tuple[Path, ...]:
    """Return the hand-written Python files below a folder of the repository, relative to it."""
    return tuple(
        path
        for path in repository_files()
        if path.suffix == ".py" and path.parts[0] == folder and not is_generated(path)
    )


@cache
def syntax_of(path: Path) -> ast.Module:
    """Return a Python file of the repository, parsed."""
    return ast.parse((ROOT / path).read_text(encoding="utf-8"))


def table_rows(text: str) -> list[list[str]]:
    """Return the cells of every row of every Markdown table, without their head rows."""
    rows = []
    previous = ""
    for line in text.splitlines():
        if line.startswith("|"):
            cells = [cell.strip() for cell in line.replace(r"\|", "\0").strip().strip("|").split("|")]
            if set(line) <= set("|-: "):
                rows.pop()  # what was above the rule is the head
            else:
                rows.append([cell.replace("\0", "|") for cell in cells])
        previous = line
    assert not previous.startswith("|---"), "a table ends with its rule"
    return rows


def run(command: Sequence[str | Path], folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run one of the environment's tools in `folder`; its output is kept and its exit code is for the caller."""
    tools = Path(sys.executable).parent
    path = f"{tools}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    return subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PATH": path, **environment},
        check=False,
        capture_output=True,
        text=True,
        timeout=100,  # under pytest's own limit, so that the output is shown
    )


@pytest.fixture(scope="session")
def contract_workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything that buf needs, in a folder of its own."""
    folder = tmp_path_factory.mktemp("contract")
    for name in ("buf.yaml", "buf.gen.yaml"):
        shutil.copyfile(ROOT / name, folder / name)
    for name in ("protos", "scripts"):
        shutil.copytree(ROOT / name, folder / name)
    laid_out = run([sys.executable, "scripts/lay_out_third_party.py", "build/third_party"], folder)
    assert laid_out.returncode == 0, laid_out.stderr
    return folder
