from __future__ import annotations

import asyncio
import json
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from optrading.cli.__main__ import app
from optrading.cli.errors import CommandError
from optrading.testing.kite import Account, ChainTape, KiteBroker
from tests.chains import small_chain


@pytest.fixture
async def broker() -> AsyncIterator[KiteBroker]:
    async with KiteBroker(ChainTape([small_chain()]), account=Account()) as broker:
        yield broker


class Commands:
    """`optrading kite`, run against a broker."""

    def __init__(self, home: Path, broker: KiteBroker) -> None:
        self.home = home
        self._environment = {
            "OPTRADING_HOME": str(home),
            "KITE_API_KEY": broker.account.api_key,
            "KITE_API_SECRET": broker.account.api_secret,
            "KITE_REST_URL": broker.rest_url,
            "KITE_LOGIN_URL": broker.login_url,
        }

    async def run(self, *arguments: str, typed: str = "", **changes: str) -> Result:
        environment = {**self._environment, **changes}
        return await asyncio.to_thread(
            CliRunner().invoke, app, ["kite", *arguments], input=typed, env=environment, catch_exceptions=True
        )

    @property
    def session(self) -> Path:
        return self.home / "kite" / "session.json"


@pytest.fixture
def commands(tmp_path: Path, broker: KiteBroker) -> Commands:
    return Commands(tmp_path, broker)


def problem(result: Result) -> str:
    assert isinstance(result.exception, CommandError), result.output
    return str(result.exception)


async def test_a_login_is_kept_for_its_owner_only_until_six_in_the_morning(commands, broker) -> None:
    result = await commands.run("login", broker.account.new_request_token())
    assert result.exit_code == 0, result.output
    assert "06:00 IST" in result.output
    assert stat.S_IMODE(commands.session.stat().st_mode) == 0o600
    kept = json.loads(commands.session.read_text())
    assert broker.account.api_secret not in commands.session.read_text() + result.output
    assert kept["access_token"] not in result.output


async def test_the_whole_address_will_do_and_is_asked_for(commands, broker) -> None:
    address = f"http://127.0.0.1/?request_token={broker.account.new_request_token()}&action=login&status=success"
    result = await commands.run("login", typed=f"{address}\n")
    assert result.exit_code == 0, result.output
    assert f"{broker.login_url}?v=3&api_key={broker.account.api_key}" in result.output
    assert commands.session.exists()


async def test_a_wrong_token_or_secret_is_one_line_and_nothing_is_kept(commands, broker) -> None:
    assert "Kite refuses the session" in problem(await commands.run("login", "nonsense"))
    wrong = await commands.run("login", broker.account.new_request_token(), KITE_API_SECRET="wrong")
    assert "Kite refuses the session" in problem(wrong)
    assert not commands.session.exists()


async def test_status_says_who_is_logged_in_and_whether_the_broker_agrees(commands, broker) -> None:
    assert "nobody is logged in" in problem(await commands.run("status"))
    await commands.run("login", broker.account.new_request_token())
    result = await commands.run("status", "--verify")
    assert result.exit_code == 0, result.output
    assert "the broker takes it" in result.output
    assert "the session that opens at" in result.output or "before the market opens at" in result.output
    broker.faults.revoke()
    assert "Kite refuses the session" in problem(await commands.run("status", "--verify"))


async def test_a_session_of_another_app_is_told_apart(commands, broker) -> None:
    await commands.run("login", broker.account.new_request_token())
    assert "another app" in problem(await commands.run("status", KITE_API_KEY="other"))


async def test_a_file_that_is_no_session_is_one_line(commands) -> None:
    commands.session.parent.mkdir(parents=True)
    commands.session.write_text("{}")
    assert "is no session" in problem(await commands.run("status"))


async def test_logout_ends_the_session_here_and_at_the_broker(commands, broker) -> None:
    await commands.run("login", broker.account.new_request_token())
    token = json.loads(commands.session.read_text())["access_token"]
    result = await commands.run("logout")
    assert result.output == "logged out\n"
    assert not commands.session.exists()
    assert not broker.account.admits(broker.account.api_key, token)
    assert (await commands.run("logout")).output == "nobody was logged in\n"


async def test_logout_works_while_the_broker_cannot_be_reached(commands, broker) -> None:
    await commands.run("login", broker.account.new_request_token())
    result = await commands.run("logout", KITE_REST_URL="http://127.0.0.1:1")
    assert "could not be told" in result.output
    assert not commands.session.exists()
