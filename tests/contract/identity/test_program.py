"""Identity as it is run: a process that is configured by its environment and says what is wrong in one line."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest

from optrading.identity.v1 import identity_service_pb2 as pb
from optrading.identity.v1 import identity_service_pb2_grpc as pb_grpc

PASSWORD = "swordfish swordfish"


@asynccontextmanager
async def started(home: Path, **variables: str) -> AsyncIterator[Process]:
    environment = {"PATH": os.environ["PATH"], "OPTRADING_HOME": str(home), "MESH_TLS": "sidecar", **variables}
    command = (sys.executable, "-m", "optrading.identity")
    process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=PIPE, stderr=PIPE)
    try:
        async with asyncio.timeout(60):  # a slow, busy computer imports for many seconds
            yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def ended(process: Process) -> tuple[int | None, str]:
    out, err = await process.communicate()
    return process.returncode, (out + err).decode()


async def test_it_serves_the_demo_user_and_stops_when_told_and_logs_no_secret(tmp_path: Path) -> None:
    async with started(tmp_path, DEMO_USERNAME="demo", DEMO_PASSWORD=PASSWORD, JWT_EXPIRATION_HOURS="2") as process:
        assert process.stderr is not None
        lines = []
        while not lines or lines[-1].get("message") != "server_started":
            lines.append(json.loads(await process.stderr.readline()))
        async with grpc.aio.insecure_channel(f"127.0.0.1:{lines[-1]['port']}") as channel:
            stub = pb_grpc.IdentityServiceStub(channel)
            tokens = await stub.Login(pb.LoginRequest(username="demo", password=PASSWORD))
            with pytest.raises(grpc.aio.AioRpcError):
                await stub.Login(pb.LoginRequest(username="demo", password="swordfish wrong"))
            await stub.RefreshToken(pb.RefreshTokenRequest(refresh_token=tokens.refresh_token))
        assert tokens.expires_in == 7200
        process.send_signal(signal.SIGTERM)
        code, rest = await ended(process)
    assert code == 0
    said = json.dumps(lines) + rest
    assert "session_continued" in said
    for secret in ("swordfish", tokens.access_token, tokens.refresh_token):
        assert secret not in said


@pytest.mark.parametrize(
    ("variables", "code", "says"),
    [
        ({"MESH_TLS": "in_process"}, 1, "ca.pem"),
        ({"STATE_DIRECTORY": "/proc/none"}, 1, "/proc/none cannot be written"),
        ({"LISTEN_ADDRESS": "192.0.2.1:1"}, 1, "192.0.2.1:1 cannot be listened on"),
        ({"OPTRADING_DATABASE_URL": "sqlite:////proc/none/users.db"}, 1, "/proc/none"),
        ({"DEMO_USERNAME": "demo", "DEMO_PASSWORD": "swordfish"}, 2, "DEMO_PASSWORD: a password has 12 to 256"),
        ({"JWT_EXPIRATION_HOURS": "soon"}, 2, "JWT_EXPIRATION_HOURS='soon'"),
    ],
)
async def test_what_a_person_can_mend_is_one_line_and_an_exit_code(
    tmp_path: Path, variables: dict[str, str], code: int, says: str
) -> None:
    async with started(tmp_path, **{"LOG_LEVEL": "ERROR", **variables}) as process:
        ended_with, said = await ended(process)
    complaints = [line for line in said.splitlines() if not re.match(r"E\d{4} ", line)]  # grpc has words of its own
    assert (ended_with, len(complaints)) == (code, 1)
    assert says in complaints[0]
    assert "swordfish" not in said
