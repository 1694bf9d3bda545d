"""What README and runbook tell people to type does what they say, against a running mesh."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from optrading.local.mesh import Mesh
from optrading.testing.mesh import running_mesh
from tests.conftest import ROOT
from tests.pages import Block, shell_blocks

pytestmark = pytest.mark.xdist_group("documents")  # one mesh at a time for this file

SETTING = re.compile(r"^export (OPTRADING_HOME=\S+|OPTRADING_URL=\S+)( OPTRADING_URL=\S+)?$", re.MULTILINE)
"""Where a page says which mesh is meant: the one thing that is another here."""

SHOWN: dict[str, dict[str, list[str]]] = {
    "README.md": {
        "Look": ["NIFTY", "SENSEX .*sequence", r"^ok +"],
        "REST": [
            r'^{"chain":{"index":"NIFTY"',
            r'^{"analytics":{"index":"NIFTY"',
            '"index": "BANKNIFTY"',
            '"this_month"',
            '"reason": "UNKNOWN_INDEX"',
        ],
        "Streams": [r'^{"chain":{"index":"NIFTY"', r'^data: {"analytics":{"index":"NIFTY"'],
        "History": [
            '"watermarks"',
            r'^{"chain":{"index":"NIFTY"',
            r'^{"chain":{"index":"NIFTY"',
            r'^{"chain":{"index":"NIFTY"',
        ],
        "gRPC": ['"spotInr"', r"^\d+\.\d\d  ATM \d+  IV \d+\.\d\d%$"],
        "Play a recorded day": [],
    },
    "docs/runbook.md": {
        "Runbook": [],
        "Is it well?": [r"^ok +", '"status":"ok"'],
        "Logs": ["no errors", "no internal errors"],
    },
}
"""What must be seen below which heading, in this order."""


@pytest.fixture
async def mesh(tmp_path: Path) -> AsyncIterator[Mesh]:
    # Another issuer than usual: identity and gateway must agree on it.
    async with running_mesh(tmp_path / "var", environment={"JWT_ISSUER": "documents"}) as running:
        yield running


@pytest.mark.timeout(240)
async def test_every_command_of_readme_and_runbook_does_what_it_says(mesh: Mesh) -> None:
    for page, expected in SHOWN.items():
        blocks = shell_blocks(ROOT / page)
        output, errors = await type_into_a_shell(blocks, mesh)
        assert "Traceback" not in errors, errors
        parts = re.split(r"^=== \d+\n", output, flags=re.MULTILINE)[1:]
        seen = dict.fromkeys(expected, "")
        for block, printed in zip(blocks, parts, strict=True):
            text, _, code = printed.rpartition("=== exit ")
            assert code.strip() == "0", f"{page}: {block.commands}{printed}{errors}"
            seen[block.heading] += text
        for heading, patterns in expected.items():
            position = 0
            for pattern in patterns:
                found = re.compile(pattern, re.MULTILINE).search(seen[heading], position)
                assert found, f"{page}, {heading}: {pattern} is not in:\n{seen[heading]}\n{errors}"
                position = found.end()


async def type_into_a_shell(blocks: Sequence[Block], mesh: Mesh) -> tuple[str, str]:
    """Return what one shell prints, and its errors, when the blocks are typed into it one after the other."""
    script = ["set -u"]
    for number, block in enumerate(blocks):
        commands = SETTING.sub("", block.commands).replace("http://localhost:8000", mesh.url)
        script += [f"echo '=== {number}'", commands, "code=$?; echo; echo '=== exit' $code"]
    environment = {
        **os.environ,
        "OPTRADING_HOME": str(mesh.home),
        "OPTRADING_URL": mesh.url,
        "OPTRADING_HTTP_PORT": mesh.url.rpartition(":")[2],
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    # Without pipefail, as in a terminal: `head` ends a stream that would go on for ever.
    process = await asyncio.create_subprocess_exec(
        "bash", "-c", "\n".join(script), cwd=ROOT, env=environment,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        output, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return output.decode(), errors.decode()


@pytest.mark.parametrize("page", sorted(SHOWN))
def test_every_block_of_commands_stands_below_a_heading_that_is_looked_at(page: str) -> None:
    assert {block.heading for block in shell_blocks(ROOT / page)} == SHOWN[page].keys()
