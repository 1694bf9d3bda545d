"""The event bus and Debian's redis-server over mutual TLS, as a managed Redis would have it."""

from __future__ import annotations

import asyncio
import shutil
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
import structlog
from pydantic import SecretStr
from redis.asyncio import Redis
from redis.exceptions import RedisError

from optrading.common.bus import EventBus, stream_of
from optrading.common.database import open_database
from optrading.common.outbox import Notice, Outbox
from optrading.common.worker import Worker
from optrading.local.authority import ensure_certificates
from optrading.local.ports import free_ports
from optrading.market.v1 import event_pb2

pytestmark = [
    pytest.mark.system,
    pytest.mark.timeout(60),
    pytest.mark.skipif(shutil.which("redis-server") is None, reason="needs scripts/install-system-packages"),
]


@asynccontextmanager
async def redis_over_tls(folder: Path) -> AsyncIterator[int]:
    """Run a Redis that speaks TLS only and demands certificates; yields its port."""
    tls = folder / "tls"
    ensure_certificates(tls, "optrading.local", ["redis", "collection"])
    (port,) = free_ports(1)
    # Absolute paths: redis-server changes into --dir before it reads the certificates.
    process: Process = await asyncio.create_subprocess_exec(
        *("redis-server", "--port", "0", "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)),
        *("--tls-port", str(port), "--tls-auth-clients", "yes", "--tls-ca-cert-file", str(tls / "ca.pem")),
        *("--tls-cert-file", str(tls / "redis.pem"), "--tls-key-file", str(tls / "redis.key")),
        stdout=DEVNULL,
        stderr=DEVNULL,
    )
    try:
        async with Redis.from_url(url(folder, port)) as client:
            while not await answers(client):  # noqa: ASYNC110  # another process cannot say that it is there
                await asyncio.sleep(0.02)
        yield port
    finally:
        process.kill()
        await process.wait()


async def answers(client: Redis) -> bool:
    try:
        return bool(await client.ping())
    except (RedisError, OSError):
        return False


def url(folder: Path, port: int, *, authority: str = "tls/ca.pem", workload: str = "collection") -> str:
    tls = folder / "tls"
    return (
        f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={folder / authority}"
        f"&ssl_certfile={tls / workload}.pem&ssl_keyfile={tls / workload}.key"
    )


@asynccontextmanager
async def bus_with_one_notice(folder: Path, redis_url: str) -> AsyncIterator[Outbox]:
    with closing(open_database(folder / "outbox.sqlite")) as connection:
        async with Worker("outbox") as worker:
            outbox = Outbox(connection, enabled=True)
            if not outbox.pending(1):
                event = event_pb2.Event(event_id="legs_collected/NIFTY/7/1", event_type="legs_collected")
                outbox.add([Notice(event, "")])
            task = asyncio.create_task(EventBus(SecretStr(redis_url), outbox, worker).run())
            try:
                yield outbox
            finally:
                task.cancel()
                await asyncio.wait([task])


async def test_events_arrive_over_mutual_tls(tmp_path: Path) -> None:
    async with (
        redis_over_tls(tmp_path) as port,
        bus_with_one_notice(tmp_path, url(tmp_path, port)),
        Redis.from_url(url(tmp_path, port), decode_responses=True) as client,
    ):
        ((_, entries),) = await client.xread({stream_of("legs_collected"): "0"}, block=20_000)
    assert [entry["event_id"] for _, entry in entries] == ["legs_collected/NIFTY/7/1"]


async def test_a_redis_of_another_authority_gets_nothing_and_the_notice_waits(tmp_path: Path) -> None:
    ensure_certificates(tmp_path / "theirs", "optrading.local", ["redis"])
    async with redis_over_tls(tmp_path) as port:
        wrong = url(tmp_path, port, authority="theirs/ca.pem")
        with structlog.testing.capture_logs() as logs:
            async with bus_with_one_notice(tmp_path, wrong) as outbox:
                while not logs:  # noqa: ASYNC110  # the warning is all there is to see
                    await asyncio.sleep(0.01)
                assert len(outbox.pending(9)) == 1
        assert logs[0]["event"] == "events_delayed"
        assert "CERTIFICATE_VERIFY_FAILED" in logs[0]["error"]
        async with Redis.from_url(url(tmp_path, port)) as client:
            assert await client.xlen(stream_of("legs_collected")) == 0
