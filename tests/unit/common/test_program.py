from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator

import pytest
import structlog

from optrading.common.program import run_program
from optrading.common.settings import ServiceSettings
from optrading.common.state import StateError


class OwnError(Exception):
    pass


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


async def logging_failure(_: ServiceSettings) -> None:
    password = "hidden"
    try:
        password.index("x")
    except ValueError:
        structlog.get_logger().exception("attempt_failed", attempt=2)


async def orderly(settings: ServiceSettings) -> None:
    assert settings.log_level == "INFO"


async def known(_: ServiceSettings) -> None:
    raise StateError("/state belongs to another running process")


async def inside_tasks(_: ServiceSettings) -> None:
    async def fail() -> None:
        raise OwnError("the recording ended early")

    async with asyncio.TaskGroup() as tasks, asyncio.TaskGroup() as more:
        more.create_task(fail())
        tasks.create_task(asyncio.sleep(3600))


async def surprising(_: ServiceSettings) -> None:
    raise RuntimeError("nobody thought of this")


@pytest.mark.parametrize(
    ("main", "code", "lines"),
    [
        (orderly, 0, []),
        (known, 1, ["tester: /state belongs to another running process"]),
        (inside_tasks, 1, ["tester: the recording ended early"]),
    ],
)
def test_a_known_error_is_one_line_and_an_exit_code(
    main, code: int, lines: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_program("tester", ServiceSettings, main, expected=(OwnError,)) == code
    assert capsys.readouterr().err.splitlines() == lines


def test_logs_for_people_begin_with_what_happened_and_hold_no_colours_in_a_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LOG_FORMAT", "console")
    assert run_program("tester", ServiceSettings, logging_failure) == 0
    text = capsys.readouterr().err
    first, *_, last = text.splitlines()
    assert first.split()[1:4] == ["[error", "]", "attempt_failed"]
    assert {"attempt=2", "service=tester"} <= set(first.split())
    assert last == "ValueError: substring not found"
    assert "\x1b" not in text
    assert "hidden" not in text


def test_any_other_error_shows_where_it_came_from() -> None:
    with pytest.raises(RuntimeError, match="nobody thought of this"):
        run_program("tester", ServiceSettings, surprising)
