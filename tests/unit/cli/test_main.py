"""The command itself: what it is asked before any work begins."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from optrading.cli.__main__ import app

COMMANDS = ("up", "chain", "greeks", "watch", "gaps", "import", "doctor", "buckets", "version")


def said(*arguments: str) -> str:
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": "80"})
    assert result.exit_code == 0, result.output
    return result.output


def test_the_version_is_an_option_and_a_command() -> None:
    assert said("--version") == said("version")
    assert said("version").count(".") == 2


def test_the_list_of_commands_says_what_each_is_for_and_cuts_none_short() -> None:
    text = said("--help")
    assert text.splitlines()[2].startswith("  Option chains of Indian indices")
    assert all(
        f"  {name} " in text for name in ("up", "chain", "greeks", "watch", "gaps", "doctor", "buckets", "version")
    )
    assert not any(line.endswith("...") for line in text.splitlines()[1:])


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str) -> None:
    assert said(name, "--help").startswith(f"Usage: optrading {name}")
