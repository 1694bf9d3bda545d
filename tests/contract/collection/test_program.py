"""Collection as it is run: a process that is configured by its environment and says what is wrong in one line."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from optrading.collection.v1 import collection_service_pb2 as pb
from optrading.collection.v1 import collection_service_pb2_grpc as pb_grpc
from optrading.market.v1 import chain_pb2

pytestmark = pytest.mark.timeout(90)  # a slow, busy computer imports for many seconds


@asynccontextmanager
async def started(home: Path, **variables: str) -> AsyncIterator[Process]:
    environment = {
        "PATH": os.environ["PATH"],
        "OPTRADING_HOME": str(home),
        "LISTEN_ADDRESS": "127.0.0.1:0",
        "MESH_TLS": "sidecar",
        **variables,
    }
    command = (sys.executable, "-m", "optrading.collection")
    process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=PIPE, stderr=PIPE)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def port_of(process: Process) -> int:
    assert process.stderr is not None
    while True:
        entry = json.loads(await process.stderr.readline())
        if entry["message"] == "server_started":
            return int(entry["port"])


async def complaint(**variables: str) -> tuple[int | None, list[str]]:
    """Return the exit code and what was said besides events and grpc's own words."""
    async with started(Path(variables["OPTRADING_HOME"]), LOG_LEVEL="ERROR", **variables) as process:
        out, err = await process.communicate()
    lines = (out + err).decode().splitlines()
    return process.returncode, [line for line in lines if not re.match(r"[IWE]\d{4} ", line)]


async def test_it_stops_in_order_and_at_once_with_open_streams_and_goes_on_in_a_new_epoch(tmp_path: Path) -> None:
    epochs = []
    for _ in range(2):
        async with (
            started(tmp_path, CUT_INTERVAL_S="0.05", SYNTHETIC_INDICES="NIFTY", DRAIN_S="30") as process,
            grpc.aio.insecure_channel(f"127.0.0.1:{await port_of(process)}") as channel,
        ):
            stub = pb_grpc.CollectionServiceStub(channel)
            lossless = pb.WatchChainsRequest(index="NIFTY", delivery=chain_pb2.DELIVERY_LOSSLESS)
            streams = [stub.WatchChains(pb.WatchChainsRequest(index="NIFTY")), stub.WatchChains(lossless)]
            streams.append(health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest()))
            first, *_ = [await stream.read() for stream in streams]
            epochs.append((first.chain.epoch, first.chain.sequence))
            while (await streams[0].read()).chain.sequence < 3:
                pass
            begun = time.monotonic()
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 0
            assert time.monotonic() - begun < 20  # the drain time is for those who are still being answered
    assert epochs[1] > epochs[0]


async def test_what_a_person_can_mend_is_one_line_and_an_exit_code(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 and nothing more")
    async with started(tmp_path / "owned", SYNTHETIC_INDICES="NIFTY") as process:
        port = await port_of(process)
        cases: list[tuple[dict[str, str], int, str]] = [
            ({"OPTRADING_HOME": str(tmp_path / "owned")}, 1, "belongs to another running process"),
            ({"STATE_DIRECTORY": str(tmp_path / "file" / "state")}, 1, "cannot be written: Not a directory"),
            ({"LISTEN_ADDRESS": f"127.0.0.1:{port}"}, 1, f"127.0.0.1:{port} cannot be listened on"),
            ({"MESH_TLS": "in_process"}, 1, "ca.pem: No such file or directory"),
            ({"FEED": "replay", "RECORDING": str(tmp_path / "broken.parquet")}, 1, "broken.parquet"),
            ({"HEARTBEAT_INTERVAL_S": "never"}, 2, "HEARTBEAT_INTERVAL_S='never'"),
        ]
        # Together, as starting is mostly importing; each in a home of its own.
        found = await asyncio.gather(
            *(
                complaint(**{"OPTRADING_HOME": str(tmp_path / str(number)), **variables})
                for number, (variables, _, _) in enumerate(cases)
            )
        )
    for (variables, code, says), (ended_with, lines) in zip(cases, found, strict=True):
        assert (ended_with, len(lines)) == (code, 1), (variables, lines)
        assert says in lines[0]
    assert not (tmp_path / "4").exists()  # a recording that cannot be played leaves nothing half-written
