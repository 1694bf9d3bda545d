from __future__ import annotations

from pathlib import Path

import pytest

from optrading.local.authority import WORKLOADS
from optrading.local.credentials import Credentials
from optrading.local.options import MeshOptions
from optrading.local.process import Program
from optrading.local.programs import service_programs

USER = Credentials("demo", "a password", "http://127.0.0.1:8000")


def programs(**environment: str) -> dict[str, Program]:
    options = MeshOptions(home=Path("var"), environment={"FEATURE_EXTENDED_ANALYSIS": "", **environment})
    addresses = {name: f"127.0.0.1:{port}" for port, name in enumerate(WORKLOADS, 50051)}
    made = service_programs(options, addresses, "redis://127.0.0.1:6379", USER)
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
