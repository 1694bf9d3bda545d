"""`optrading up` replays a recording through every part, and the other commands look at it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from optrading.cli.client import GatewayClient
from optrading.local.credentials import read_credentials
from optrading.market.chain import Chain
from optrading.market.v1.chain_pb2 import ChainSnapshot
from optrading.storage.v1 import storage_service_pb2 as storage_pb
from optrading.testing.mesh import MeshClient
from optrading.testing.recordings import write_recording
from tests.faults.history import faults_of

pytestmark = pytest.mark.xdist_group("up replay")

MINUTES = 12
INDICES = ("NIFTY", "BANKNIFTY")
FINISHED = re.compile(r"replay finished: (\d+) chains of (\d+) collected and stored \((.*)\)")


def command(home: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "optrading.cli", *arguments],
        # Wide enough that no line of a table is folded.
        env={**os.environ, "OPTRADING_HOME": str(home), "OPTRADING_HTTP_PORT": "0", "COLUMNS": "200", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def answer_of(home: Path, *arguments: str) -> tuple[int, str, str]:
    process = command(home, *arguments)
    output, errors = process.communicate(timeout=60)
    return process.returncode, output, errors


@dataclass
class Replay:
    home: Path
    process: subprocess.Popen[str]
    lines: list[str]

    def read_until(self, pattern: re.Pattern[str]) -> re.Match[str]:
        """Return the match of the first line that has one; a mesh that says nothing for too long is ended."""
        assert self.process.stdout is not None
        guard = threading.Timer(100, self.process.kill)
        guard.start()
        try:
            for line in self.process.stdout:
                self.lines.append(line)
                if found := pattern.search(line):
                    return found
        finally:
            guard.cancel()
        raise AssertionError("".join(self.lines) + (self.process.stderr.read() if self.process.stderr else ""))


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[Chain, ...]]:
    path = tmp_path_factory.mktemp("recording") / "day.parquet"
    return path, write_recording(path, index=INDICES, minutes=MINUTES, strikes=10)


@pytest.fixture(scope="module")
def replay(tmp_path_factory: pytest.TempPathFactory, recorded: tuple[Path, tuple[Chain, ...]]) -> Iterator[Replay]:
    home = tmp_path_factory.mktemp("home") / "var"
    process = command(home, "up", FEED="replay", RECORDING=str(recorded[0]), SPEED="max")
    try:
        running = Replay(home, process, [])
        found = running.read_until(FINISHED)
        assert (int(found[1]), int(found[2])) == (MINUTES * len(INDICES),) * 2
        yield running
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=60)


async def stored(home: Path, index: str) -> list[ChainSnapshot]:
    async with GatewayClient(read_credentials(home)) as client:
        request = storage_pb.ReadChainsRequest(index=index)
        return [answer.chain async for answer in client.stream(client.storage.ReadChains, request)]


@pytest.mark.parametrize("index", INDICES)
async def test_storage_gives_back_every_leg_that_was_recorded(
    replay: Replay, recorded: tuple[Path, tuple[Chain, ...]], index: str
) -> None:
    found = await stored(replay.home, index)
    assert len(found) == MINUTES
    assert faults_of(found, [chain for chain in recorded[1] if chain.index == index]) == []


async def test_the_mesh_goes_on_serving_its_last_chains_by_the_recording_s_clock(
    replay: Replay, recorded: tuple[Path, tuple[Chain, ...]]
) -> None:
    client = MeshClient(read_credentials(replay.home))
    await client.login()
    chain = (await client.get("/option-chain/NIFTY?bucket=this_week")).json()["chain"]
    last = [chain for chain in recorded[1] if chain.index == "NIFTY"][-1]
    assert chain["event_time"] == f"{last.event_time:%Y-%m-%dT%H:%M:%S}Z"
    # NIFTY expires on the day after the recorded one, not on one of this week's.
    assert chain["expiries"][0]["expiry"] == "2026-08-18"
    analytics = (await client.get("/analytics/NIFTY/greeks?bucket=this_week")).json()["analytics"]
    assert analytics["event_time"] == chain["event_time"]
    assert 0 < analytics["expiries"][0]["summary"]["years"] < 2 / 365


def test_up_shows_where_everything_is_and_lines_that_can_be_typed(replay: Replay) -> None:
    text, credentials = "".join(replay.lines), read_credentials(replay.home)
    assert all(word in text for word in (credentials.url, credentials.password, str(replay.home)))
    typed = [line.strip() for line in text.splitlines() if "curl" in line]
    done = subprocess.run(["bash", "-c", "\n".join(typed)], capture_output=True, text=True, timeout=30, check=True)
    assert json.loads(done.stdout)["chain"]["index"] == "NIFTY"


@pytest.mark.parametrize("name", ["chain", "greeks"])
def test_the_tables_show_the_money_in_the_middle(replay: Replay, name: str) -> None:
    code, output, _ = answer_of(replay.home, name, "nifty", "--strikes", "2", "--expiry", "2026-08-25")
    assert code == 0
    lines = [line for line in output.splitlines() if not line.startswith("forward")]
    assert "expiry 2026-08-25" in lines[0]
    assert "strike" in lines[1]
    assert len([line for line in lines[2:] if re.search(r" \d\d,\d\d0 ", line)]) == 5


def test_what_the_platform_refuses_is_one_line_that_says_what_is_allowed(replay: Replay) -> None:
    code, output, errors = answer_of(replay.home, "chain", "DOW")
    assert (code, output) == (1, "")
    assert errors == "optrading: index 'DOW' is not known here; known: BANKNIFTY, NIFTY\n"


@pytest.mark.parametrize("options", [[], ["--greeks"]])
def test_watching_shows_the_newest_at_once(replay: Replay, options: list[str]) -> None:
    code, output, _ = answer_of(replay.home, "watch", "NIFTY", "--count", "1", *options)
    assert code == 0
    assert re.search(rf"NIFTY .* sequence {MINUTES} ", output)


def test_the_doctor_finds_nothing_wrong(replay: Replay) -> None:
    code, output, _ = answer_of(replay.home, "doctor")
    assert code == 0, output
    assert {line.split()[0] for line in output.splitlines()} == {"ok"}
    assert f"{MINUTES} chains stored, 0 behind" in output


def test_a_second_mesh_in_the_same_home_is_refused(replay: Replay) -> None:
    code, _, errors = answer_of(replay.home, "up")
    assert code == 1
    assert "another running process" in errors


def test_a_signal_stops_everything_in_order_with_exit_code_0(replay: Replay) -> None:
    """The last test of this file: it ends the mesh that the others use."""
    replay.process.send_signal(signal.SIGINT)
    output, errors = replay.process.communicate(timeout=60)
    assert (replay.process.returncode, errors) == (0, "")
    assert output.splitlines()[-1] == "stopped"
    for log in (replay.home / "logs").glob("*.log"):
        assert "Traceback" not in log.read_text(), log
    code, output, _ = answer_of(replay.home, "doctor")
    assert code == 0
    assert "warn  mesh: not running" in output
