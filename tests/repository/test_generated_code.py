"""The generated code is what the contract gives, no more and no less."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.repository.conftest import is_generated, repository_files, run

pytestmark = pytest.mark.xdist_group("contract")  # one copy of the contract for all tests of it


def test_the_checked_in_code_equals_a_fresh_generation(contract_workspace: Path, tmp_path: Path) -> None:
    generated = run(["buf", "generate", "--output", tmp_path], contract_workspace)
    assert generated.returncode == 0, generated.stderr

    fresh = {path.relative_to(tmp_path).as_posix(): path.read_text() for path in tmp_path.rglob("*_pb2*.py*")}
    checked_in = {path.as_posix(): (ROOT / path).read_text() for path in repository_files() if is_generated(path)}

    assert sorted(checked_in) == sorted(fresh)
    stale = [name for name, text in fresh.items() if checked_in[name] != text]
    assert not stale, f"run `make generate`: {stale}"


def test_every_proto_has_its_generated_code() -> None:
    missing = [
        stub
        for proto in repository_files()
        if proto.suffix == ".proto"
        for ending in ("_pb2.py", "_pb2.pyi", "_pb2_grpc.py", "_pb2_grpc.pyi")
        if not (ROOT / (stub := Path("services", *proto.parts[1:]).with_suffix("").as_posix() + ending)).is_file()
    ]
    assert not missing
