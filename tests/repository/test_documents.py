"""Documents are true: links lead somewhere, targets and files they name exist, decisions are indexed."""

from __future__ import annotations

import os
import re
from functools import cache
from pathlib import Path

import pytest

from optrading.collection.feeds.replay.table import NEEDED_COLUMNS, OPTIONAL_COLUMNS
from optrading.collection.settings import FeedName
from tests.conftest import ROOT
from tests.integration.test_documents import SHOWN
from tests.pages import shell_blocks
from tests.repository.conftest import python_files, repository_files, table_rows

PAGES = tuple(path for path in repository_files() if path.suffix == ".md")
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("*.md"))
_LINK = re.compile(r"!?\[[^\]]*\]\((?P<target>[^)\s]+)\)")
_TARGET = re.compile(r"^(?P<name>[a-z][a-z-]*):(?!=).*$", re.MULTILINE)


@cache
def text(path: Path) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def anchors(path: Path) -> set[str]:
    """Return the anchors of the headings of a page, as GitHub makes them."""
    plain = re.sub(r"^```.*?^```", "", text(path), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", plain, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_link_inside_the_repository_leads_somewhere(page: Path) -> None:
    for found in _LINK.finditer(text(page)):
        target, _, anchor = found["target"].partition("#")
        if target.startswith(("http:", "https:", "mailto:")):
            continue
        file = page if not target else Path(os.path.normpath(page.parent / target))
        assert (ROOT / file).exists(), f"{page} links to {found['target']}"
        if anchor:
            assert anchor in anchors(file), f"{page} links to {found['target']}"


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_a_page_has_one_title_and_ends_with_one_line_break(page: Path) -> None:
    assert text(page).startswith(("# ", "<")), page
    assert text(page).endswith("\n")
    assert not text(page).endswith("\n\n")


def test_decisions_are_numbered_without_gaps_and_have_all_their_parts() -> None:
    assert [path.name[:4] for path in DECISIONS] == [f"{number:04}" for number in range(1, len(DECISIONS) + 1)]
    for path in DECISIONS:
        content = path.read_text()
        assert content.startswith(f"# {int(path.name[:4])}. "), path.name
        headings = re.findall(r"^## (.+)$", content, re.MULTILINE)
        assert headings == ["Context", "Choice", "What it costs"], path.name


def test_every_decision_is_in_the_index_with_its_title() -> None:
    index = text(Path("docs/README.md"))
    rows = re.findall(r"^\| \[(\d{4})\]\(decisions/([\w.-]+)\) \| (.+) \|$", index, re.MULTILINE)
    expected = [
        (path.name[:4], path.name, re.sub(r"^# \d+\. ", "", path.read_text().partition("\n")[0])) for path in DECISIONS
    ]
    assert rows == expected


def test_every_document_is_reached_from_the_index() -> None:
    index = text(Path("docs/README.md"))
    assert [
        path.name
        for path in sorted((ROOT / "docs").glob("*.md"))
        if path.name != "README.md" and path.name not in index
    ] == []


def make_targets() -> set[str]:
    return {found["name"] for found in _TARGET.finditer(text(Path("Makefile")))}


def test_contributing_lists_every_make_target_and_no_other() -> None:
    listed = set(re.findall(r"^\| `make ([a-z-]+)` \|", text(Path("CONTRIBUTING.md")), re.MULTILINE))
    assert listed == make_targets()


def test_every_target_that_help_shows_says_what_it_does() -> None:
    phony = re.search(r"^\.PHONY: (.+)$", text(Path("Makefile")), re.MULTILINE)
    assert phony
    described = set(re.findall(r"^([a-z-]+):.*## \S", text(Path("Makefile")), re.MULTILINE))
    assert described == set(phony[1].split()) - {"third-party"}


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_make_target_that_a_page_names_exists(page: Path) -> None:
    named = set(re.findall(r"`(?:[A-Z_]+=\S+ )*make ([a-z-]+)", text(page)))
    assert named - make_targets() == set()


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_setting_that_a_page_names_exists(page: Path) -> None:
    known = set(re.findall(r"`([A-Z][A-Z0-9_]+)`", text(Path("docs/configuration.md"))))
    used = set(re.findall(r"`(?:[A-Z_]+=\S+ )*([A-Z][A-Z0-9_]+)=", text(page)))
    tests_own = {"OPTRADING_REAL_DATA", "OPTRADING_SEED", "OPTRADING_SOAK"}
    assert used - known - tests_own == set()


def test_ci_runs_what_developers_run() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    lines = [line for line in script.read_text().splitlines() if line.startswith("make ")]
    assert lines == ["make check", "make test", "make test-system"]


@pytest.mark.parametrize("path", [p for p in repository_files() if (ROOT / p).read_bytes()[:2] == b"#!"], ids=str)
def test_every_script_can_be_run(path: Path) -> None:
    assert os.access(ROOT / path, os.X_OK)


def test_the_licence_is_apache_2() -> None:
    licence = text(Path("LICENSE"))
    assert "Apache License" in licence
    assert "Version 2.0, January 2004" in licence
    assert "END OF TERMS AND CONDITIONS" in licence


def test_the_changelog_has_the_version_of_the_project() -> None:
    version = re.search(r'^version = "(.+)"$', text(Path("pyproject.toml")), re.MULTILINE)
    assert version
    headings = re.findall(r"^## \[(.+?)\]", text(Path("CHANGELOG.md")), re.MULTILINE)
    assert headings[:2] == ["Unreleased", version[1]]


def test_every_block_of_shell_commands_is_run_by_a_test() -> None:
    # Pages about the clone itself may also name `make` and pytest, which are how tests run at all.
    for page in PAGES:
        lines = [line for block in shell_blocks(ROOT / page) for line in block.commands.splitlines()]
        if page.as_posix() not in SHOWN:
            assert all(line.startswith(("make ", ".venv/bin/pytest ")) for line in lines), page


def test_every_folder_that_the_readme_names_exists() -> None:
    table = text(Path("README.md")).partition("## Where things are")[2]
    named = re.findall(r"`([a-z/]+/)`", table)
    assert len(named) > 5
    assert [name for name in named if not (ROOT / name).is_dir()] == []


def test_the_columns_of_recordings_are_those_that_the_replay_reads() -> None:
    rows = table_rows(text(Path("docs/recordings.md")))
    assert tuple(row[0].strip("`") for row in rows if row[1] == "yes") == NEEDED_COLUMNS
    assert tuple(row[0].strip("`") for row in rows if row[1] == "no") == OPTIONAL_COLUMNS


def test_the_feeds_that_make_run_offers_are_those_there_are() -> None:
    row = next(row for row in table_rows(text(Path("docs/configuration.md"))) if row[0] == "`FEED`")
    assert {name for name in re.findall(r"`(\w+)`", row[2]) if name != "FEED"} == {feed.value for feed in FeedName}


def test_every_bug_in_the_table_names_a_test_that_exists() -> None:
    rows = table_rows(text(Path("tests/faults/README.md")))
    assert rows
    sources = "\n".join((ROOT / path).read_text() for path in python_files("tests"))
    assert [row for row in rows if f"def {row[2].strip('`')}(" not in sources] == []
