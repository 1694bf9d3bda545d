"""What each service of a local mesh is started with: its command, its environment, its turn when all stop."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from optrading.local.authority import WORKLOADS
from optrading.local.credentials import Credentials
from optrading.local.kite_demo import KiteDemo
from optrading.local.options import KITE_DEMO, MeshOptions
from optrading.local.process import Program

# What takes longest to start goes first.
_SERVICES = ("storage", "analytics", "collection", "identity", "gateway")
STAGES = {
    "valkey": 0,
    "broker": 0,
    "identity": 1,
    "collection": 1,
    "storage": 2,
    "analytics": 2,
    "gateway": 3,
    "envoy": 4,
}
"""Readers stop before what they read from: nobody sees a neighbour vanish."""


def service_programs(
    options: MeshOptions,
    addresses: Mapping[str, str],
    redis_url: str,
    credentials: Credentials,
    demo: KiteDemo | None = None,
) -> list[Program]:
    """Return the services in the order in which they are started.

    Args:
        options: What the mesh is to be.
        addresses: host:port of every workload.
        redis_url: Where events go.
        credentials: The demo user.
        demo: The broker that the collector is a client of; it is started with the services.
    """
    shared = _shared_environment(options, addresses, redis_url)
    programs = [_service(name, options, shared, addresses[name].split(",")[0], credentials) for name in _SERVICES]
    for number, address in enumerate(addresses["collection"].split(",")[1:], 2):
        programs.append(_collector(number, options, shared, address))
    if demo is None:
        return programs
    own = {each.name: demo.collector_environment() for each in programs if each.name.startswith("collection")}
    clients = [replace(each, environment={**each.environment, **own.get(each.name, {})}) for each in programs]
    # The collector last: it asks its broker at once.
    clients.sort(key=lambda program: program.name.startswith("collection"))
    return [demo.program(options.settings(), STAGES["broker"]), *clients]


def _shared_environment(options: MeshOptions, addresses: Mapping[str, str], redis_url: str) -> dict[str, str]:
    home = options.home.absolute()
    chosen = {
        "OPTRADING_HOME": str(home),
        "TLS_DIRECTORY": str(home / "tls"),
        "REDIS_URL": redis_url,
        "FEED": "kite" if options.feed == KITE_DEMO else options.feed,
        "RECORDING": str(options.recording.absolute()) if options.recording else "",
        "SPEED": options.speed,
        "REPLAY_END": options.replay_end,
        **{f"{name.upper()}_ADDRESS": addresses[name] for name in WORKLOADS},
    }
    given = options.settings()
    extended = given.get("FEATURE_EXTENDED_ANALYSIS", "").lower() in ("1", "true", "yes", "on", "t", "y")
    defaults = {
        # A demo shows everything; whoever asks for extended analysis asks for its eleven strikes.
        "ACTIVE_STRIKE_OFFSETS": "" if extended else "all",
        # Each start plays the recording from its beginning; a collector that is restarted in between goes on.
        "REPLAY_RUN": uuid.uuid4().hex,
        "LOG_FORMAT": "json",
        # Everything starts at once: who is up must be seen soon.
        "HEALTH_RETRY_S": "0.25",
        # grpcio cannot be told a least version of TLS. With a single suite, of TLS 1.2 and for none of our
        # certificates, 1.3 is what is left; gRPC reads this when it is imported, so no service can set it itself.
        "GRPC_SSL_CIPHER_SUITES": "ECDHE-PSK-AES128-CBC-SHA",
    }
    environment = {**defaults, **given, **chosen}
    if not options.recording:
        del environment["RECORDING"]
    return environment


def _service(
    name: str, options: MeshOptions, shared: Mapping[str, str], address: str, credentials: Credentials
) -> Program:
    environment = {**shared, "LISTEN_ADDRESS": address, "STATE_DIRECTORY": str(_state_of(name, options))}
    if name == "identity":
        environment["DEMO_USERNAME"] = credentials.username
        environment["DEMO_PASSWORD"] = credentials.password
    # -P: a file in the current folder must not stand in for a library.
    command = (sys.executable, "-P", "-m", f"optrading.{name}")
    return Program(name, command, environment, STAGES[name])


def _collector(number: int, options: MeshOptions, shared: Mapping[str, str], address: str) -> Program:
    """Return one more collector: the same workload, with a state of its own."""
    name = f"collection-{number}"
    environment = {**shared, "LISTEN_ADDRESS": address, "STATE_DIRECTORY": str(_state_of(name, options))}
    command = (sys.executable, "-P", "-m", "optrading.collection")
    return Program(name, command, environment, STAGES["collection"])


def _state_of(name: str, options: MeshOptions) -> Path:
    home = options.home.absolute()
    return home / name if name in ("identity", "gateway") else home / "data" / options.feed / name
