"""The whole mesh against the broker it brings along: live, and with a recorded day."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from optrading.cli.up import banner
from optrading.local.mesh import Mesh
from optrading.testing.mesh import MeshClient, running_mesh
from optrading.testing.recordings import write_recording

pytestmark = pytest.mark.timeout(240)

WAIT_S = 60.0


async def logged_in(mesh: Mesh) -> MeshClient:
    client = MeshClient(mesh.credentials)
    assert (await client.login()).status == 200
    return client


async def answer(client: MeshClient, path: str, condition: Callable[[Any], object]) -> Any:
    """Ask until the answer is what is waited for."""
    async with asyncio.timeout(WAIT_S):
        while True:
            found = await client.get(path)
            if found.status == 200 and condition(found.json()):
                return found.json()
            await asyncio.sleep(0.1)


def command(mesh: Mesh, path: str, *, post: bool) -> Any:
    address = mesh.addresses["broker"]
    request = urllib.request.Request(f"http://{address}/broker/{path}", method="POST" if post else "GET")
    with urllib.request.urlopen(request, timeout=WAIT_S) as told:
        return json.load(told)


async def until_connected(mesh: Mesh) -> None:
    """Return when the broker has a client; it may not listen yet."""
    async with asyncio.timeout(WAIT_S):
        while True:
            with suppress(OSError):
                if (await asyncio.to_thread(command, mesh, "state", post=False))["connections"]:
                    return
            await asyncio.sleep(0.1)


async def test_the_market_of_the_broker_comes_through_and_a_fault_is_in_the_ledger(tmp_path: Path) -> None:
    async with running_mesh(tmp_path / "var", feed="kite-demo") as mesh:
        assert f"its broker       http://{mesh.addresses['broker']} " in banner(mesh, 1.0)
        client = await logged_in(mesh)
        chain = await answer(client, "/option-chain/NIFTY?bucket=this_week", lambda found: found["chain"])
        assert chain["chain"]["source"] == "kite"
        await answer(client, "/analytics/SENSEX/summary?bucket=this_week", lambda found: found["expiries"])
        state = await asyncio.to_thread(command, mesh, "state", post=False)
        assert state["connections"] >= 1
        assert state["tokens"] > 1000
        await asyncio.to_thread(command, mesh, "faults/drop", post=True)
        # Among others, perhaps, on a machine that is so busy that chains were late.
        await answer(client, "/gaps/NIFTY", lambda found: "GAP_CAUSE_DISCONNECT" in [g["cause"] for g in found["gaps"]])


async def test_a_recorded_day_is_played_at_its_own_time(tmp_path: Path) -> None:
    chains = write_recording(tmp_path / "day.parquet", index="SENSEX", minutes=5)
    recording = tmp_path / "day.parquet"
    async with running_mesh(tmp_path / "var", feed="kite-demo", recording=recording, speed="60") as mesh:
        client = await logged_in(mesh)
        last = chains[-1].event_time

        def is_last(found: Any) -> bool:
            return datetime.fromisoformat(found["chain"]["event_time"]) == last

        await answer(client, "/option-chain/SENSEX?bucket=this_week", is_last)
        history = await answer(client, "/history", lambda found: found["watermarks"])
        assert [mark["index"] for mark in history["watermarks"]] == ["SENSEX"]
        # Nobody missed the beginning: the broker waits for its client.
        first = (await client.get("/history/SENSEX?bucket=this_week")).body.decode().partition("\n")[0]
        assert f"{chains[0].event_time:%Y-%m-%dT%H:%M:%SZ}" in first
        # A broker that dies is started again, and its client comes back.
        pid = mesh.kill("broker")
        await mesh.wait_restarted("broker", pid)
        await until_connected(mesh)
