"""Real Envoy in front of real gRPC servers, each with its certificate, for the length of a test session."""

from __future__ import annotations

import asyncio
import base64
import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from optrading.analytics.v1 import analytics_service_pb2_grpc
from optrading.collection.v1 import collection_service_pb2_grpc
from optrading.common.channels import open_channel
from optrading.common.clock import SystemClock
from optrading.common.serving import RunningServer, serve
from optrading.common.settings import MeshTls, ServiceSettings
from optrading.gateway.configuration import dump_yaml, envoy_command, render_envoy
from optrading.gateway.descriptors import write_descriptor_set
from optrading.gateway.health_watch import HealthWatch
from optrading.gateway.parameters import EnvoyParameters
from optrading.gateway.servicer import GatewayServicer
from optrading.identity.v1 import identity_service_pb2, identity_service_pb2_grpc
from optrading.local.authority import ensure_certificates
from optrading.local.ports import free_ports
from optrading.storage.v1 import storage_service_pb2_grpc
from tests.gateway.upstreams import Analytics, Collection, Identity, Recorder, Storage

DEADLINE_S = 20.0
"""For conditions that are reached in well under a second on an idle machine."""

KID = "test-key"
UNARY_TIMEOUT_S = 1.5
"""Short, so that a test can wait for it."""


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Poll `condition`; fail after the deadline."""
    end = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end, f"{what} not within {DEADLINE_S:g} s"
        time.sleep(0.02)


class Tokens:
    """Issues access tokens as identity does, and wrong ones."""

    def __init__(self) -> None:
        self.private = Ed25519PrivateKey.generate()
        raw = self.private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.x = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()

    def jwk(self) -> identity_service_pb2.JsonWebKey:
        return identity_service_pb2.JsonWebKey(kty="OKP", crv="Ed25519", x=self.x, kid=KID, use="sig", alg="EdDSA")

    def claims(self, *permissions: str) -> dict[str, Any]:
        now_s = int(time.time())
        return {
            "iss": "optrading",
            "aud": "optrading",
            "sub": "user-1",
            "username": "asha",
            "permissions": list(permissions),
            "iat": now_s,
            "exp": now_s + 3600,
        }

    def issue(self, *permissions: str, key: Any = None, algorithm: str = "EdDSA", **changes: Any) -> str:
        """Return a token; a claim changed to None is left out."""
        claims = {name: value for name, value in (self.claims(*permissions) | changes).items() if value is not None}
        signing_key = self.private if key is None else key
        return jwt.encode(claims, signing_key, algorithm=algorithm, headers={"kid": KID, "typ": "at+jwt"})


class Upstreams:
    """All services behind the gateway, on an event loop of their own thread."""

    def __init__(self, directory: Path, tokens: Tokens, mesh_tls: MeshTls) -> None:
        self.recorder = Recorder()
        self.servers: dict[str, RunningServer] = {}
        self._directory = directory
        self._tokens = tokens
        self._mesh_tls = mesh_tls
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()

    def settings(self, **changes: Any) -> ServiceSettings:
        return ServiceSettings(tls_directory=self._directory / "tls", mesh_tls=self._mesh_tls, drain_s=0.1, **changes)

    @contextmanager
    def running(self) -> Iterator[dict[str, str]]:
        """Serve while the block runs; yields the address of each workload."""
        ready = threading.Event()
        problems: list[BaseException] = []

        def work() -> None:
            try:
                self._loop.run_until_complete(self._serve(ready))
            except BaseException as problem:
                problems.append(problem)
            finally:
                ready.set()
                self._loop.close()

        thread = threading.Thread(target=work, name="upstreams")
        thread.start()
        try:
            ready.wait()
            if not problems:
                yield {workload: f"127.0.0.1:{server.port}" for workload, server in self.servers.items()}
        finally:
            if not self._loop.is_closed():
                self._loop.call_soon_threadsafe(self._stop.set)
            thread.join()
        if problems:
            raise problems[0]

    def set_serving(self, workload: str, serving: bool) -> None:
        asyncio.run_coroutine_threadsafe(self.servers[workload].set_serving(serving), self._loop).result(DEADLINE_S)

    async def _serve(self, ready: threading.Event) -> None:
        note = self.recorder
        adders = {
            "analytics": lambda s: analytics_service_pb2_grpc.add_AnalyticsServiceServicer_to_server(
                Analytics(note), s
            ),
            "collection": lambda s: collection_service_pb2_grpc.add_CollectionServiceServicer_to_server(
                Collection(note), s
            ),
            "identity": lambda s: identity_service_pb2_grpc.add_IdentityServiceServicer_to_server(
                Identity(note, [self._tokens.jwk()]), s
            ),
            "storage": lambda s: storage_service_pb2_grpc.add_StorageServiceServicer_to_server(Storage(note), s),
        }
        async with AsyncExitStack() as stack:
            for workload, add in adders.items():
                self.servers[workload] = await stack.enter_async_context(serve(self.settings(), workload, add))
                await self.servers[workload].set_serving(True)
            addresses = {f"{name}_address": f"127.0.0.1:{server.port}" for name, server in self.servers.items()}
            settings = self.settings(**addresses)
            watch = HealthWatch(
                tuple(adders), lambda name: open_channel(settings, "gateway", name), SystemClock(), longest_retry_s=0.2
            )
            companion = serve(settings, "gateway", GatewayServicer(watch).add_to)
            self.servers["gateway"] = await stack.enter_async_context(companion)
            watching = asyncio.create_task(watch.run())
            await self.servers["gateway"].set_serving(True)
            ready.set()
            await self._stop.wait()
            watching.cancel()
            await asyncio.wait([watching])


@dataclass
class Edge:
    """The running gateway and what a test needs to talk to it."""

    address: str
    access_log: Path
    upstreams: Upstreams
    tokens: Tokens
    http: httpx.Client
    configuration: dict[str, Any] = field(repr=False)

    def bearer(self, *permissions: str) -> dict[str, str]:
        """Return the header of a valid token with `permissions`."""
        return {"authorization": f"Bearer {self.tokens.issue(*permissions)}"}

    def channel(self) -> grpc.Channel:
        """Return a channel to the gateway; a user's, so without certificates."""
        return grpc.insecure_channel(self.address)


UNPOLICED = {"name": "unpoliced", "match": {"path": "/unpoliced"}, "direct_response": {"status": 200}}
"""A route as a mistake would make it: without any policy."""


def render(directory: Path, services: dict[str, str], mesh_tls: MeshTls) -> dict[str, Any]:
    """Return the configuration of the product, and in it one route whose policy was forgotten."""
    http_port, admin_port = free_ports(2)
    parameters = EnvoyParameters(
        http_address=f"127.0.0.1:{http_port}",
        admin_address=f"127.0.0.1:{admin_port}",
        services=services,
        descriptor_set=directory / "contract.pb",
        access_log=directory / "access.json",
        mesh_tls=mesh_tls,
        tls_directory=directory / "tls",
        trust_domain=ServiceSettings().trust_domain,
        unary_timeout_s=UNARY_TIMEOUT_S,
    )
    configuration = render_envoy(parameters)
    manager = configuration["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    manager["route_config"]["virtual_hosts"][0]["routes"].insert(0, UNPOLICED)
    return configuration


@contextmanager
def running_edge(directory: Path, mesh_tls: MeshTls = MeshTls.IN_PROCESS) -> Iterator[Edge]:
    """Run the gateway and everything behind it while the block runs."""
    if mesh_tls is MeshTls.IN_PROCESS:
        ensure_certificates(directory / "tls", ServiceSettings().trust_domain)
    tokens = Tokens()
    upstreams = Upstreams(directory, tokens, mesh_tls)
    with upstreams.running() as services, running_envoy(directory, services, mesh_tls) as running:
        address, http, configuration = running
        edge = Edge(address, directory / "access.json", upstreams, tokens, http, configuration)
        headers = edge.bearer("read_data", "admin_access")
        for path in ("/health", "/indices", "/history", "/analytics/NIFTY/summary", "/admin/users"):
            wait_until(lambda path=path: answers(http, path, headers), path)
        yield edge


def answers(http: httpx.Client, path: str, headers: dict[str, str]) -> bool:
    """Tell whether a request for `path` succeeds."""
    try:
        return http.get(path, headers=headers).status_code == 200
    except httpx.ConnectError:
        return False


def listens(http: httpx.Client) -> bool:
    """Tell whether somebody answers, whatever the answer is."""
    try:
        http.get("/")
    except httpx.ConnectError:
        return False
    return True


@contextmanager
def running_envoy(
    directory: Path, services: dict[str, str], mesh_tls: MeshTls = MeshTls.IN_PROCESS
) -> Iterator[tuple[str, httpx.Client, dict[str, Any]]]:
    """Run Envoy before `services` while the block runs; yields its address, a client and its configuration."""
    write_descriptor_set(directory / "contract.pb")
    configuration = render(directory, services, mesh_tls)
    (directory / "envoy.yaml").write_text(dump_yaml(configuration), encoding="utf-8")
    socket = configuration["static_resources"]["listeners"][0]["address"]["socket_address"]
    address = f"{socket['address']}:{socket['port_value']}"
    log_path = directory / "envoy.log"
    command = envoy_command(directory / "envoy.yaml")
    with log_path.open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as envoy:
        try:
            with httpx.Client(base_url=f"http://{address}", timeout=DEADLINE_S) as http:
                wait_until(lambda: envoy.poll() is not None or listens(http), "Envoy listens")
                yield address, http, configuration
            assert envoy.poll() is None, log_path.read_text(encoding="utf-8")
        finally:
            envoy.terminate()
            envoy.wait(DEADLINE_S)


def logged_requests(path: Path) -> list[dict[str, Any]]:
    """Return the lines of the access log."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
