"""The rules of the house hold, and are noticed when they are broken."""

from __future__ import annotations

import ast
import re
import shutil
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.repository.conftest import is_generated, python_files, repository_files, run, syntax_of

_TEXT = {
    ".py",
    ".pyi",
    ".proto",
    ".md",
    ".toml",
    ".yaml",
    ".yml",
    ".txt",
    ".in",
    ".lua",
    ".sh",
    ".json",
    ".svg",
    ".cfg",
}
_TEXT_NAMES = {"Makefile", "LICENSE", ".gitignore", "Dockerfile"}

# Put together here, so that this file does not hold what it looks for.
_UNFINISHED = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X|NotImplemented" + r"Error|HA" + r"CK)\b")
_MACHINE_PATH = re.compile(r"(?<![\w.~$/-])/(wo" + r"rk|ho" + r"me|Us" + r"ers|ro" + r"ot)/(?!somebody)")


def _texts() -> list[Path]:
    return [
        path
        for path in repository_files()
        if path.suffix in _TEXT or path.name in _TEXT_NAMES or path.parts[0] in {"scripts", ".ci"}
    ]


def test_services_know_each_other_only_by_their_stubs() -> None:
    kept = run(["lint-imports", "--no-cache"], ROOT)
    assert kept.returncode == 0, kept.stdout + kept.stderr


@pytest.mark.parametrize(
    ("importer", "statement"),
    [
        pytest.param("collection/pipeline.py", "import optrading.storage.settings", id="a service from another"),
        pytest.param("common/board.py", "import optrading.analytics.servicer", id="common from a service"),
        pytest.param("market/buckets.py", "import optrading.common.settings", id="values from what does I/O"),
        pytest.param("analytics/kernels/black76.py", "import grpc", id="a kernel from gRPC"),
        pytest.param(
            "analytics/kernels/black76.py", "import optrading.analytics.servicer", id="a kernel from a servicer"
        ),
        pytest.param("market/codec.py", "import sqlite3", id="values from a database"),
    ],
)
def test_an_import_that_is_not_allowed_is_found(importer: str, statement: str, tmp_path: Path) -> None:
    source = tmp_path / "services"
    shutil.copytree(ROOT / "services", source, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    shutil.copyfile(ROOT / "pyproject.toml", tmp_path / "pyproject.toml")
    changed = source / "optrading" / importer
    changed.write_text(changed.read_text() + f"\n{statement}\n")

    found = run(["lint-imports", "--no-cache"], tmp_path, PYTHONPATH=str(source))

    assert found.returncode != 0, found.stdout
    module = f"optrading.{importer.removesuffix('.py').replace('/', '.')}"
    assert module in found.stdout + found.stderr
    assert "BROKEN" in found.stdout


@pytest.mark.parametrize("folder", ["services", "scripts", "benchmarks"])
def test_every_module_says_its_idea_in_its_first_line(folder: str) -> None:
    silent = []
    for path in python_files(folder):
        tree = syntax_of(path)
        if not tree.body and path.name == "__init__.py":
            continue  # an empty package file only marks the folder
        first = (ast.get_docstring(tree) or "").partition("\n")[0]
        if not first.endswith((".", ":", "?")):
            silent.append(f"{path}: {first!r}")
    assert not silent


def test_modules_stay_small() -> None:
    # One idea each; tests may list more cases.
    long = {str(path): count for path in python_files("services") if (count := _line_count(path)) > 250}
    assert not long


def test_nothing_is_left_for_later() -> None:
    assert _places(_UNFINISHED) == []


def test_no_path_of_somebodys_machine_is_in_the_repository() -> None:
    assert _places(_MACHINE_PATH) == []


def test_no_module_is_named_after_nothing() -> None:
    vague = {"utils", "util", "helpers", "helper", "manager", "misc", "common2"}
    assert [path for path in python_files("services") if path.stem in vague or path.stem.endswith("_utils")] == []


def test_every_folder_of_tests_is_a_package() -> None:
    # Files of one name in two folders would otherwise be taken for one module.
    folders = {parent for path in python_files("tests") for parent in path.parents if parent.parts}
    assert [str(folder) for folder in sorted(folders) if not (ROOT / folder / "__init__.py").is_file()] == []


def test_no_suppression_stands_without_its_reason() -> None:
    # A code and, after it, the reason as a second comment. Why imports stand inside of functions is said once a file.
    suppression = re.compile(r"#\s*(?:noqa|type:\s*ignore)(?:: ?[A-Z0-9, ]+|\[[a-z-]+\])?(?P<reason>.*)$")
    inner_imports = re.compile(r"# Not at the top: \w{3}|# noqa: PLC0415\W+\w{3}")
    places = []
    for path in (*python_files("services"), *python_files("scripts")):
        text = (ROOT / path).read_text()
        for number, line in enumerate(text.splitlines(), 1):
            found = suppression.search(line)
            if found is None or re.search(r"\w{3}", found["reason"]):
                continue
            if "PLC0415" not in line or not inner_imports.search(text):
                places.append(f"{path}:{number}")
    assert places == []


def _line_count(path: Path) -> int:
    return len((ROOT / path).read_text().splitlines())


def _places(pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{path}:{number}: {line.strip()[:100]}"
        for path in _texts()
        if not is_generated(path)
        for number, line in enumerate((ROOT / path).read_text(encoding="utf-8").splitlines(), 1)
        if pattern.search(line)
    ]
