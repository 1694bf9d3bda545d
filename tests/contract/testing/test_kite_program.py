"""The broker as a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from kiteconnect import KiteConnect
from websockets.asyncio.client import connect

from optrading.testing.kite.__main__ import main
from optrading.testing.recordings import write_recording
from tests.conftest import ROOT

WAIT_S = 60.0
CREDENTIALS = {"KITE_API_KEY": "key", "KITE_API_SECRET": "secret", "KITE_ACCESS_TOKEN": "token"}


@asynccontextmanager
async def running(*arguments: str) -> AsyncIterator[dict[str, str]]:
    """Run it while the block runs; yield what it announced."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "optrading.testing.kite", *arguments),
        env={**os.environ, **CREDENTIALS},
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(WAIT_S):
            lines = [(await process.stdout.readline()).decode().strip() for _ in range(3)]
            yield dict(line.split("=", 1) for line in lines)
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def state_of(announced: dict[str, str]) -> dict:
    with urllib.request.urlopen(f"{announced['KITE_REST_URL']}/broker/state", timeout=WAIT_S) as answer:
        return json.load(answer)


async def test_it_plays_a_recording_for_the_session_it_was_given(tmp_path: Path) -> None:
    write_recording(tmp_path / "day.parquet", minutes=3, strikes=2)
    async with running("--recording", str(tmp_path / "day.parquet"), "--speed", "max") as announced:
        kite = KiteConnect("key", "token", root=announced["KITE_REST_URL"])
        assert (await asyncio.to_thread(kite.profile))["user_name"] == "Demo User"
        async with asyncio.timeout(WAIT_S):
            # Each question takes a thread and a connection: nobody else is kept from running.
            while not (state := await asyncio.to_thread(state_of, announced))["ended"]:
                pass
        assert state["position"] == 2


async def test_paused_it_moves_when_it_is_told_to(tmp_path: Path) -> None:
    write_recording(tmp_path / "day.parquet", minutes=3, strikes=2)
    async with running("--recording", str(tmp_path / "day.parquet"), "--paused") as announced:
        assert (await asyncio.to_thread(state_of, announced))["position"] == 0
        request = urllib.request.Request(f"{announced['KITE_REST_URL']}/broker/advance", method="POST")
        with await asyncio.to_thread(urllib.request.urlopen, request, timeout=WAIT_S) as answer:
            assert json.load(answer)["position"] == 1


async def test_started_again_it_goes_on_where_it_would_be_by_now(tmp_path: Path) -> None:
    write_recording(tmp_path / "day.parquet", minutes=9, strikes=2)
    began = tmp_path / "began"
    arguments = ("--recording", str(tmp_path / "day.parquet"), "--speed", "1", "--began-file", str(began))
    async with running(*arguments) as announced:
        assert (await asyncio.to_thread(state_of, announced))["position"] == 0
    assert float(began.read_text()) <= time.time()
    began.write_text(str(time.time() - 5 * 60))
    async with running(*arguments) as announced:
        assert (await asyncio.to_thread(state_of, announced))["position"] in (5, 6)


async def test_it_can_wait_until_somebody_has_subscribed(tmp_path: Path) -> None:
    write_recording(tmp_path / "day.parquet", minutes=3, strikes=2)
    arguments = ("--recording", str(tmp_path / "day.parquet"), "--speed", "max", "--wait")
    async with running(*arguments) as announced:
        assert (await asyncio.to_thread(state_of, announced))["position"] == 0
        async with connect(f"{announced['KITE_TICKER_URL']}?api_key=key&access_token=token") as socket:
            await socket.send('{"a": "subscribe", "v": [256265]}')
            while not (await asyncio.to_thread(state_of, announced))["ended"]:
                pass


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--recording", "nowhere.parquet"], "there is no such recording"),
        (["--speed", "2"], "--speed is for --recording"),
        (["--recording", "day", "--speed", "0"], "no speed"),
    ],
)
def test_what_cannot_be_played_is_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


async def test_the_example_of_the_document_runs() -> None:
    page = (ROOT / "docs" / "broker.md").read_text()
    code = page.partition("```python\n")[2].partition("```")[0]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    async with asyncio.timeout(WAIT_S):
        said, _ = await process.communicate()
    assert process.returncode == 0, said
    assert b"FaultKind.STALE" in said
