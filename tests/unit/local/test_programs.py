from __future__ import annotations

from pathlib import Path

import pytest

from optrading.local.authority import WORKLOADS
from optrading.local.credentials import Credentials
from optrading.local.kite_demo import KiteDemo
from optrading.local.options import MeshOptions
from optrading.local.process import Program
from optrading.local.programs import service_programs

USER = Credentials("demo", "a password", "http://127.0.0.1:8000")


def programs(feed: str = "synthetic", recording: Path | None = None, **environment: str) -> dict[str, Program]:
    environment = {"FEATURE_EXTENDED_ANALYSIS": "", **environment}
    options = MeshOptions(home=Path("var"), feed=feed, recording=recording, speed="60", environment=environment)
    addresses = {name: f"127.0.0.1:{port}" for port, name in enumerate(WORKLOADS, 50051)}
    demo = KiteDemo(options, "127.0.0.1:9900", "127.0.0.1:9901") if feed == "kite-demo" else None
    made = service_programs(options, addresses, "redis://127.0.0.1:6379", USER, demo)
    return {program.name: program for program in made}


@pytest.mark.parametrize(
    ("environment", "offsets"),
    [
        ({}, "all"),
        ({"FEATURE_EXTENDED_ANALYSIS": "false"}, "all"),
        ({"FEATURE_EXTENDED_ANALYSIS": "true"}, ""),
        ({"ACTIVE_STRIKE_OFFSETS": "-1,0,1"}, "-1,0,1"),
    ],
)
def test_a_demonstration_shows_whole_chains_unless_asked_otherwise(environment: dict[str, str], offsets: str) -> None:
    assert programs(**environment)["collection"].environment["ACTIVE_STRIKE_OFFSETS"] == offsets


def test_only_identity_is_told_the_demo_user_s_password() -> None:
    told = {name for name, program in programs().items() if USER.password in program.environment.values()}
    assert told == {"identity"}


def test_every_service_keeps_its_own_state() -> None:
    folders = [program.environment["STATE_DIRECTORY"] for program in programs().values()]
    assert len(set(folders)) == len(WORKLOADS)


def test_only_a_demonstration_of_kite_brings_a_broker_along() -> None:
    assert programs().keys() == programs("kite").keys() == set(WORKLOADS)
    assert programs("kite-demo").keys() == {*WORKLOADS, "broker"}


def test_the_collector_of_a_demonstration_is_a_client_of_its_broker() -> None:
    made = programs("kite-demo", REPLAY_LOT_SIZE="65")
    collection, broker = made["collection"].environment, made["broker"]
    assert (collection["FEED"], collection["MARKET_HOURS"]) == ("kite", "always")
    assert (collection["KITE_REST_URL"], collection["KITE_TICKER_URL"]) == (
        "http://127.0.0.1:9900",
        "ws://127.0.0.1:9901",
    )
    for name in ("KITE_API_KEY", "KITE_API_SECRET"):
        assert collection[name] == broker.environment[name]
        assert collection[name] not in broker.command  # others can read a process's arguments
    assert broker.command[-4:] == ["--port", "9900", "--ticker-port", "9901"]
    assert broker.stage < made["collection"].stage


def test_the_session_of_a_demonstration_lies_apart_from_the_user_s_own() -> None:
    made = programs("kite-demo")
    assert made["collection"].environment["OPTRADING_HOME"] != made["storage"].environment["OPTRADING_HOME"]
    assert made["collection"].environment["TLS_DIRECTORY"] == made["storage"].environment["TLS_DIRECTORY"]


def test_a_demonstration_with_a_recording_tells_the_time_of_its_day() -> None:
    made = programs("kite-demo", Path("day.parquet"), REPLAY_LOT_SIZE="65")
    assert made["collection"].environment["MARKET_HOURS"] == "recorded"
    command = made["broker"].command
    assert command[command.index("--recording") + 1] == str(Path("day.parquet").absolute())
    assert command[command.index("--speed") + 1] == "60"
    assert command[command.index("--lot-size") + 1] == "65"
    assert "--began-file" in command  # a broker that dies goes on where it would be by then
