"""The whole mesh on this machine: Valkey, the services with mTLS, and Envoy in front of them."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import signal
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from optrading.common.settings import MeshTls
from optrading.common.state import own_state
from optrading.local.authority import WORKLOADS, ensure_certificates
from optrading.local.credentials import ensure_credentials
from optrading.local.kite_demo import KiteDemo, prepare_kite_demo
from optrading.local.options import KITE_DEMO, MeshOptions, check_port
from optrading.local.ports import HOST, free_ports
from optrading.local.process import ProcessEvent, ProcessState, Program, StartError
from optrading.local.programs import STAGES, service_programs
from optrading.local.settings import LocalSettings, read_local_settings
from optrading.local.supervisor import Supervisor
from optrading.local.valkey import Valkey, write_url

_WRONG_SETTING = 2
"""Exit code of a service that cannot read its settings; see `read_settings`."""
_DEATHS_BEFORE_READY = 4
"""A program that dies this often before the mesh is ready will not get better by waiting."""


def _report_nothing(_: ProcessEvent) -> None:
    """Hear of an event and do nothing."""


class Mesh:
    """A running mesh; use as `async with`. Leaving stops every process, in order.

    Attributes:
        options: What it was asked to be.
        url: Where the gateway answers.
        credentials: The demo user.
        addresses: host:port of every workload, and of `valkey`, `admin` (Envoy's own administration), and `broker` and
            `ticker` (REST and WebSocket of the broker that FEED=kite-demo brings along).
        kite_demo: That broker; None with any other feed.
        redis_url: Where events are; holds a password.
        tls_directory: Certificates; None where a sidecar encrypts.
    """

    def __init__(self, options: MeshOptions, report: Callable[[ProcessEvent], None] = _report_nothing) -> None:
        """Prepare, inside of a running event loop; `report` is told of every start, death and stop."""
        self.options = options
        self.home = options.home.absolute()
        self._report = report
        self._supervisor = Supervisor(self.home / "logs", self._note)
        self._stack = AsyncExitStack()
        self._deaths: dict[str, int] = {}
        self._ready = False
        self._missing: set[str] = set()
        self.kite_demo: KiteDemo | None = None
        self._hopeless: asyncio.Future[StartError] = asyncio.get_running_loop().create_future()

    async def __aenter__(self) -> Self:
        """Start everything; `wait_ready` tells when it serves.

        Raises:
            OptionError: The port is taken, or a recording cannot be replayed.
            StartError: A program cannot be started.
            StateError: The home cannot be used, or another mesh runs in it.
        """
        check_port(self.options)
        try:
            self._stack.enter_context(own_state(self.home))
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop everything, in order."""
        await self._stack.aclose()

    async def wait_ready(self, timeout_s: float = 60.0) -> None:
        """Return when every service serves and the gateway says so.

        Raises:
            StartError: A program dies again and again, or the time is over; the text names what is missing and its log.
        """
        serving = asyncio.create_task(self._all_serve(), name="all serve")
        try:
            async with asyncio.timeout(timeout_s):
                await asyncio.wait((serving, self._hopeless), return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError:
            problem = "; ".join(self._missing) or "the gateway does not answer"
            raise StartError(f"not ready after {timeout_s:g} s: {problem}; logs are in {self.home / 'logs'}") from None
        finally:
            hopeless = None if serving.done() else self._hopeless
            serving.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await serving
        if hopeless is not None:
            raise hopeless.result()
        self._ready = True

    async def _all_serve(self) -> None:
        # Not at the top: the services are already starting while this process imports gRPC.
        from optrading.local.health import wait_gateway, wait_serving  # noqa: PLC0415

        async def wait(name: str) -> None:
            self._missing.add(f"{name} does not serve")
            for address in self.addresses[name].split(","):
                await wait_serving(address, name, self.tls_directory)
            self._missing.discard(f"{name} does not serve")

        async with asyncio.TaskGroup() as tasks:
            for name in WORKLOADS:
                tasks.create_task(wait(name))
        await wait_gateway(self.url, self.addresses["admin"])

    async def stop(self) -> None:
        """Stop every process, in order; leaving the block then has nothing left to do."""
        await self._supervisor.stop()

    def kill_all(self) -> None:
        """End every process at once."""
        self._supervisor.kill_all()

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> int:
        """Send a signal to a process, as an accident would, and return its process id."""
        return self._supervisor.kill(name, number)

    async def wait_restarted(self, name: str, pid: int, timeout_s: float = 30.0) -> None:
        """Return when `name` runs with another process id than `pid` and the mesh is ready again.

        Raises:
            StartError: It does not become ready.
            TimeoutError: It is not started again in time.
        """
        async with asyncio.timeout(timeout_s):
            while self.pids.get(name, pid) == pid:  # noqa: ASYNC110  # the supervisor's reports go elsewhere
                await asyncio.sleep(0.02)
        await self.wait_ready(timeout_s)

    @property
    def pids(self) -> dict[str, int]:
        """Return the process ids of what runs, by name: the workloads, `valkey` and `envoy`."""
        return self._supervisor.pids

    @property
    def restarts(self) -> dict[str, int]:
        """Return how often each process has been started again."""
        return self._supervisor.restarts

    def log_of(self, name: str) -> Path:
        """Return the log file of a process."""
        return self._supervisor.log_of(name)

    async def _start(self) -> None:
        options = self.options
        settings = read_local_settings(options.settings())
        names = (*WORKLOADS, "valkey", "admin", "broker", "ticker", "http")
        more = settings.collectors - 1 if options.feed != "replay" else 0
        ports = free_ports(len(names) + more)
        self.addresses = {name: f"{HOST}:{port}" for name, port in zip(names, ports, strict=False)}
        others = [f"{HOST}:{port}" for port in ports[len(names) :]]
        self.addresses["collection"] = ",".join([self.addresses["collection"], *others])
        http_port = options.http_port or ports[len(names) - 1]
        self.addresses["http"] = f"{options.http_host}:{http_port}"
        shown = HOST if options.http_host == "0.0.0.0" else options.http_host  # noqa: S104  # compared, not listened on
        self.url = f"http://{shown}:{http_port}"
        self.credentials = ensure_credentials(self.home, self.url)
        await self._stack.enter_async_context(self._supervisor)
        try:
            self.redis_url = await self._start_valkey(settings)
            write_url(self.home, self.redis_url)
            self.tls_directory = self.home / "tls" if settings.mesh_tls is MeshTls.IN_PROCESS else None
            ensure_certificates(self.home / "tls", settings.trust_domain)
            if options.feed == KITE_DEMO:
                addresses = self.addresses["broker"], self.addresses["ticker"]
                self.kite_demo = await asyncio.to_thread(prepare_kite_demo, options, *addresses)
            for program in service_programs(options, self.addresses, self.redis_url, self.credentials, self.kite_demo):
                if self.kite_demo is not None and program.name.startswith("collection"):
                    await self.kite_demo.wait_listening()
                await self._supervisor.start(program)
            await self._start_envoy(settings)
        except OSError as error:
            raise StartError(str(error)) from error

    async def _start_valkey(self, settings: LocalSettings) -> str:
        if settings.redis_url:
            return settings.redis_url
        port = int(self.addresses["valkey"].rpartition(":")[2])
        valkey = Valkey(self.home / "valkey", port, secrets.token_urlsafe(24))
        valkey.write_configuration(settings)
        command = valkey.command()
        await self._supervisor.start(Program("valkey", command, self.options.settings(), STAGES["valkey"]))
        return valkey.url

    async def _start_envoy(self, settings: LocalSettings) -> None:
        # Not at the top: services are already starting while this process imports the contract and YAML.
        from optrading.gateway.configuration import envoy_command, write_envoy  # noqa: PLC0415
        from optrading.gateway.descriptors import write_descriptor_set  # noqa: PLC0415
        from optrading.gateway.parameters import EnvoyParameters  # noqa: PLC0415

        directory = self.home / "gateway"
        parameters = EnvoyParameters(
            http_address=self.addresses["http"],
            admin_address=self.addresses["admin"],
            services={name: self.addresses[name] for name in WORKLOADS},
            descriptor_set=directory / "contract.pb",
            access_log=Path("/dev/stdout"),
            mesh_tls=settings.mesh_tls,
            tls_directory=self.home / "tls",
            trust_domain=settings.trust_domain,
            jwt_issuer=settings.jwt_issuer,
            jwt_audience=settings.jwt_audience,
        )
        write_descriptor_set(parameters.descriptor_set)
        write_envoy(directory / "envoy.yaml", parameters)
        command = envoy_command(directory / "envoy.yaml")
        await self._supervisor.start(Program("envoy", command, self.options.settings(), STAGES["envoy"]))

    def _note(self, event: ProcessEvent) -> None:
        if event.state is ProcessState.DIED and not self._ready:
            deaths = self._deaths[event.name] = self._deaths.get(event.name, 0) + 1
            if deaths >= _DEATHS_BEFORE_READY or event.exit_code == _WRONG_SETTING:
                if not self._hopeless.done():
                    reason = event.last_line or f"exit code {event.exit_code}"
                    self._hopeless.set_result(
                        StartError(f"{event.name} does not start: {reason}; its log is {self.log_of(event.name)}")
                    )
                return  # the error says it, and nothing is started again
        self._report(event)
