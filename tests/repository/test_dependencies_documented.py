"""The table of dependencies is the project's own list, each with the licence that its package states."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import metadata

import pytest

from tests.conftest import ROOT
from tests.repository.conftest import table_rows

PAGE = ROOT / "docs" / "decisions" / "0008-dependencies.md"
ROWS = {row[0].strip("`"): row for row in table_rows(PAGE.read_text()) if re.fullmatch(r"`[a-z0-9-]+`", row[0])}
NEVER = re.compile(r"\b(A?GPL|LGPL|SSPL|BUSL|Business Source|Commons Clause|Proprietary)\b", re.IGNORECASE)


def dependencies() -> list[str]:
    """Return the names of everything that runs with the platform."""
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    return [re.split(r"[^A-Za-z0-9_.-]", each, maxsplit=1)[0].rstrip(".") for each in wanted]


def stated_licence(name: str) -> str:
    """Return what the installed package says of its licence, in any of the places that packages use."""
    about = metadata(name)
    classifiers = [each for each in about.get_all("Classifier") or [] if each.startswith("License ::")]
    return (
        about["License-Expression"] or "; ".join(each.rpartition(" :: ")[2] for each in classifiers) or about["License"]
    )


def test_every_dependency_has_its_row_and_no_other() -> None:
    assert sorted(ROWS) == sorted(dependencies())


@pytest.mark.parametrize("name", dependencies())
def test_the_licence_in_the_table_is_the_one_the_package_states(name: str) -> None:
    assert ROWS[name][1] == stated_licence(name)


@pytest.mark.parametrize("name", dependencies())
def test_no_dependency_has_a_licence_that_does_not_go_with_ours(name: str) -> None:
    assert not NEVER.search(stated_licence(name))


def test_every_row_says_what_it_is_for_and_why_it_was_taken() -> None:
    assert [name for name, row in ROWS.items() if len(row) != 4 or not all(row)] == []
