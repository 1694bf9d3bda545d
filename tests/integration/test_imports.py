"""Imports through a whole mesh with two collectors: twice is once, and whatever is killed, all is there at last."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from optrading.cli.client import CallError, GatewayClient
from optrading.imports.reading import read_import
from optrading.local.mesh import Mesh
from optrading.market.chain import Chain
from optrading.market.codec import decode_chain, to_timestamp
from optrading.market.indices import INDICES
from optrading.storage.v1 import storage_service_pb2 as pb
from optrading.testing.mesh import MeshClient, running_mesh
from optrading.testing.recordings import main as make_recording
from tests.unit.imports.files import legacy, legacy_row

pytestmark = [pytest.mark.xdist_group("imports"), pytest.mark.timeout(240)]


@pytest.fixture
async def mesh(tmp_path: Path) -> AsyncIterator[Mesh]:
    async with running_mesh(tmp_path / "var", environment={"COLLECTORS": "2", "LEASE_TTL_S": "3"}) as mesh:
        yield mesh


async def begin_import(mesh: Mesh, *files: Path) -> Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "optrading.cli", "import", *map(str, files), "--home", str(mesh.home),
        stdout=PIPE, stderr=STDOUT,
    )  # fmt: skip


async def imported(mesh: Mesh, *files: Path) -> str:
    """Import and return what was said, once it has worked."""
    async with asyncio.timeout(120):
        while True:
            process = await begin_import(mesh, *files)
            said, _ = await process.communicate()
            if process.returncode == 0:
                return said.decode()
            await asyncio.sleep(0.05)


async def stored(client: GatewayClient, expected: Chain) -> list[Chain]:
    """Return what history has at the instant of `expected`."""
    request = pb.ReadChainsRequest(index=expected.index, start_time=to_timestamp(expected.event_time))
    request.end_time.CopyFrom(to_timestamp(expected.event_time))
    request.end_time.nanos += 1000
    try:
        return [decode_chain(answer.chain) async for answer in client.stream(client.storage.ReadChains, request)]
    except CallError as error:
        if error.reason != "UNKNOWN_INDEX":  # before storage has heard of it
            raise
        return []


def legs(chain: Chain) -> list[object]:
    """Return everything of a chain that is the file's; NaN as text, so that it equals itself."""
    return [
        (each.expiry, each.lot_size, each.strike_inr.tolist(), side, [str(values.tolist()) for values in columns])
        for each in chain.expiries
        for side, columns in (("CE", each.call.columns()), ("PE", each.put.columns()))
    ]


async def until_equal(mesh: Mesh, path: Path) -> None:
    """Return when history has exactly the chains of a file."""
    async with GatewayClient(mesh.credentials) as client, asyncio.timeout(120):
        for expected in read_import(path).chains:
            while True:
                found = await stored(client, expected)
                if found and legs(found[0]) == legs(expected):
                    break
                await asyncio.sleep(0.05)


async def counts(mesh: Mesh, index: str) -> tuple[int, int]:
    """Return chains and legs of a past day: those of an index that nobody collects live at that time do not change."""
    async with GatewayClient(mesh.credentials) as client:
        request = pb.ReadChainsRequest(index=index)
        request.end_time.FromJsonString("2026-07-01T00:00:00Z")
        chains = [decode_chain(each.chain) async for each in client.stream(client.storage.ReadChains, request)]
    return len(chains), sum(chain.leg_count() for chain in chains)


async def test_imports_are_taken_once_and_survive_every_kill(mesh: Mesh, tmp_path: Path) -> None:
    # Two collectors share the indices: every one of them is answered for, whoever is asked first.
    client = MeshClient(mesh.credentials)
    await client.login()
    for index in INDICES:
        async with asyncio.timeout(60):
            while (answer := await client.get(f"/option-chain/{index}?bucket=this_month")).status != 200:
                assert answer.status == 503, answer.body
                await asyncio.sleep(0.05)

    # Twice is once.
    rows = [legacy_row(strike=24_000 + 50 * n, side=side) for n in range(40) for side in ("CE", "PE")]
    path = legacy(tmp_path, *rows, legacy_row(strike="many"))
    first = await imported(mesh, path)
    assert "1 chains with 80 legs, 1 added, 0 already there" in first
    assert "1 rejected; see" in first
    assert "STRIKE_PR is 'many'" in (tmp_path / f"{path.name}.rejects.csv").read_text()
    await until_equal(mesh, path)
    before = await counts(mesh, "NIFTY")
    assert before == (1, 80)
    assert "0 added, 1 already there" in await imported(mesh, path)
    assert await counts(mesh, "NIFTY") == before

    # Killed in the middle: the command, a collector, storage.
    day = tmp_path / "day.parquet"
    make_recording([str(day), "--index", "NIFTY", "SENSEX", "--minutes", "40"])
    for victim in ("command", "collection", "storage"):
        process = await begin_import(mesh, day)
        await asyncio.sleep(0)
        if victim == "command":
            await asyncio.wait([asyncio.create_task(process.wait())], timeout=1.5)
            if process.returncode is None:
                process.kill()
        else:
            mesh.kill(victim)
        await process.communicate()
    await imported(mesh, day)
    await until_equal(mesh, day)
    async with GatewayClient(mesh.credentials) as gateway:
        chains = read_import(day).chains
        for expected in (chains[0], chains[-1]):
            assert len(await stored(gateway, expected)) == 1
    assert "0 added" in await imported(mesh, day)


async def test_the_real_bhavcopy_twice_is_once(mesh: Mesh, real_data: Path, tmp_path: Path) -> None:
    path = real_data / "bhavcopy_fo" / "fo_20260611.csv"
    first = await imported(mesh, path)
    assert "4 added, 0 already there" in first
    await until_equal(mesh, path)
    before = [await counts(mesh, index) for index in ("NIFTY", "BANKNIFTY", "FINNIFTY", "MIDCPNIFTY")]
    assert sum(count for _, count in before) == 1714 + 1026 + 518 + 972
    assert "0 added, 4 already there" in await imported(mesh, path)
    assert [await counts(mesh, index) for index in ("NIFTY", "BANKNIFTY", "FINNIFTY", "MIDCPNIFTY")] == before
