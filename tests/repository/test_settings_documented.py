"""docs/configuration.md is what the settings classes are: every class, every name, default and meaning."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import pytest
from pydantic import BaseModel, Field
from scripts import document_settings

from optrading.common.settings import ServiceSettings
from optrading.local.options import MeshOptions
from tests.conftest import ROOT
from tests.repository.conftest import python_files, syntax_of, table_rows

PAGE = (ROOT / "docs" / "configuration.md").read_text()


def settings_classes() -> set[tuple[str, str]]:
    """Return module and name of every settings class in the source."""
    return {
        (".".join(path.with_suffix("").parts[1:]), node.name)
        for path in python_files("services")
        for node in ast.walk(syntax_of(path))
        if isinstance(node, ast.ClassDef) and node.name.endswith("Settings")
    }


def test_every_settings_class_has_its_table() -> None:
    assert document_settings.documented(PAGE) == settings_classes()


def test_the_tables_are_what_the_classes_give() -> None:
    assert document_settings.render(PAGE) == PAGE, "run `make generate`"


@pytest.mark.parametrize(("module", "name"), sorted(settings_classes()))
def test_every_setting_of_a_class_is_in_the_page_with_its_meaning(module: str, name: str) -> None:
    kind = getattr(importlib.import_module(module), name)
    assert issubclass(kind, BaseModel)
    names = {row[0].strip("`") for row in table_rows(PAGE)}
    for field, info in kind.model_fields.items():
        assert str(info.validation_alias or field).upper() in names
    assert all(meaning for _, _, meaning in document_settings.settings_of(kind))


def test_a_setting_without_a_meaning_is_refused() -> None:
    class SilentSettings(ServiceSettings):
        """Says nothing of its field."""

        silent: int = Field(default=1)

    with pytest.raises(KeyError, match="silent"):
        list(document_settings.settings_of(SilentSettings))


def test_a_changed_default_shows_in_the_table() -> None:
    class MovedSettings(ServiceSettings):
        """Listens elsewhere.

        Attributes:
            limit: Most of something; one of `home` and another.
        """

        listen_address: str = "127.0.0.1:1"
        limit: float = 2.0

    assert list(document_settings.settings_of(MovedSettings)) == [
        ("LISTEN_ADDRESS", "`127.0.0.1:1`", "host:port to serve gRPC on."),
        ("LIMIT", "`2`", "Most of something; one of `OPTRADING_HOME` and another."),
    ]


def test_check_tells_a_page_that_is_not_current(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "configuration.md"
    page.write_text(PAGE.replace("| `DRAIN_S` | `5` |", "| `DRAIN_S` | `50` |"))
    monkeypatch.setattr(document_settings, "PAGE", page)
    assert document_settings.main(["--check"]) == 1
    assert document_settings.main([]) == 0
    assert document_settings.main(["--check"]) == 0
    assert page.read_text() == PAGE


def test_what_the_command_reads_from_the_environment_is_in_the_first_table_with_its_default() -> None:
    rows = {row[0].strip("`"): row[1].strip("`") for row in table_rows(PAGE.partition("## Every service")[0])}
    tree = syntax_of(Path("services/optrading/cli/__main__.py"))
    read = {
        word.value.value
        for word in ast.walk(tree)
        if isinstance(word, ast.keyword) and word.arg == "envvar" and isinstance(word.value, ast.Constant)
    }
    assert read == rows.keys()
    options = MeshOptions(Path(rows["OPTRADING_HOME"]))
    assert rows["OPTRADING_HTTP_PORT"] == str(options.http_port)
    assert rows["OPTRADING_HTTP_HOST"] == options.http_host
    assert (rows["FEED"], rows["SPEED"], rows["REPLAY_END"]) == (options.feed, options.speed, options.replay_end)


@pytest.mark.parametrize(("module", "name"), sorted(settings_classes()))
def test_every_setting_is_read_somewhere(module: str, name: str) -> None:
    # Its effect is for the tests of the service; a setting that nobody reads cannot have one.
    source = "\n".join((ROOT / path).read_text() for path in python_files("services"))
    kind = getattr(importlib.import_module(module), name)
    own = set(kind.model_fields) - {field for field in kind.model_fields if field.endswith("_address")}
    assert [field for field in sorted(own) if not re.search(rf"\w\.{field}\b", source)] == []
