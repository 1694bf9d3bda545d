"""`optrading up`: the whole mesh in the foreground, with what it does shown live."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import signal
import time
from collections import deque
from collections.abc import Coroutine, Sequence
from contextlib import nullcontext
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.live import Live

from optrading.cli.formatting import duration
from optrading.local.mesh import Mesh
from optrading.local.options import MeshOptions, check_options
from optrading.local.process import ProcessEvent, ProcessState

_REFRESH_S = 1.0
_SAME_REQUEST_S = 0.3
_NOTES = 6
"""Lines about processes that are kept below the table."""


class _Stop:
    """The first signal asks for an orderly stop, the second ends everything at once.

    Wrappers such as `timeout` send one request as two signals, so what follows within 0.3 s is the same request.
    """

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.mesh: Mesh | None = None
        self._first_at = 0.0
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._handle)

    def _handle(self) -> None:
        now = time.monotonic()
        if not self.asked.is_set():
            self._first_at = now
            self.asked.set()
        if now - self._first_at < _SAME_REQUEST_S:
            return
        if self.mesh is not None:
            self.mesh.kill_all()
        os._exit(130)  # nothing may delay it: no clean-up, no handlers


class _Notes:
    """What happened to processes: kept for the table, or printed as it comes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self.kept: deque[str] = deque(maxlen=_NOTES)
        self.live = False
        self.ready = False

    def __call__(self, event: ProcessEvent) -> None:
        if text := describe(event, ready=self.ready):
            self.add(text)

    def add(self, text: str) -> None:
        line = f"{datetime.now().astimezone():%H:%M:%S} {text}"
        if self.live:
            self.kept.append(line)
        else:
            self._console.print(line, highlight=False, markup=False, soft_wrap=True)


async def run_up(options: MeshOptions, console: Console, *, plain: bool) -> int:
    """Check everything, start the mesh, show it until a signal comes, and stop it in order.

    Returns:
        Exit code: 0 after an orderly stop.

    Raises:
        OptionError: It cannot be started like this; nothing was written.
        StartError: A process does not start.
        StateError: The home cannot be used, or another mesh runs in it.
    """
    began = time.monotonic()
    stop = _Stop()
    check_options(options)
    console.print("starting ...", highlight=False)
    notes = _Notes(console)
    async with Mesh(options, notes) as mesh:
        stop.mesh = mesh
        if await _unless_stopped(mesh.wait_ready(), stop.asked):
            notes.ready = True
            console.print(banner(mesh, time.monotonic() - began), highlight=False, markup=False, soft_wrap=True)
            await _unless_stopped(_show(mesh, console, notes, plain=plain), stop.asked)
        notes.live = False
        console.print("stopping ...", highlight=False)
        await mesh.stop()
    console.print("stopped", highlight=False)
    return 0


def banner(mesh: Mesh, started_in_s: float) -> str:
    """Return where everything is, with two lines to copy."""
    options, user = mesh.options, mesh.credentials
    feed = (
        f"{options.feed} of {options.recording} at speed {options.speed}"
        if options.recording
        else f"{options.feed} feed"
    )
    demo = mesh.kite_demo
    broker = f"\n  its broker       http://{demo.rest_address}  (faults by command: docs/broker.md)" if demo else ""
    # The file, not the password: what is typed stays in the shell's history.
    body = shlex.quote(f"@{mesh.home / 'credentials.json'}")
    return f"""
optrading is ready after {duration(started_in_s)}: {feed}

  REST, SSE, gRPC  {mesh.url}
  user, password   {user.username}  {user.password}
  credentials      {mesh.home / "credentials.json"}
  state, logs      {mesh.home}, {mesh.home / "logs"}{broker}

  TOKEN=$(curl -s {mesh.url}/auth/login -d {body} | sed -n 's/.*"access_token": *"\\([^"]*\\)".*/\\1/p')
  curl -s "{mesh.url}/option-chain/NIFTY?bucket=this_week" -H "Authorization: Bearer $TOKEN"
"""


def describe(event: ProcessEvent, *, ready: bool) -> str:
    """Return what happened in words; empty for what is expected."""
    if event.state is ProcessState.DIED:
        code = event.exit_code or 0
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
        last = f": {said}" if (said := _said(event.last_line)) else ""
        return f"{event.name} {how}, starting again in {event.restart_in_s:.1f} s{last}"
    if event.state is ProcessState.KILLED:
        return f"{event.name} did not stop in time and was killed"
    if event.state is ProcessState.STARTED and ready:
        return f"{event.name} started again, restart {event.restarts}"
    return ""


def _said(line: str) -> str:
    """Return what a line of a log says: the message of a record, or the line itself."""
    try:
        record = json.loads(line)
    except ValueError:
        return line[:200]
    return f"its last word was {record.get('message')}" if isinstance(record, dict) else line[:200]


async def _show(mesh: Mesh, console: Console, notes: _Notes, *, plain: bool) -> None:
    """Show what the mesh does until cancelled."""
    # Not at the top: the mesh is up by now, and its first answer must not wait for these.
    from optrading.cli.client import CallError, GatewayClient  # noqa: PLC0415
    from optrading.cli.status import IndexStatus, read_status, replay_end  # noqa: PLC0415
    from optrading.cli.status_table import status_view  # noqa: PLC0415

    notes.live = console.is_terminal and not plain
    statuses: Sequence[IndexStatus] = ()
    ended = problem = ""
    async with GatewayClient(mesh.credentials) as client:
        with Live(console=console, auto_refresh=False) if notes.live else nullcontext() as live:
            while True:
                try:
                    statuses, problem = await read_status(client), ""
                except CallError as error:
                    problem = str(error)
                if (end := replay_end(statuses)) and end != ended:
                    ended = end
                    notes.add(end)
                if live is not None:
                    live.update(status_view(statuses, notes.kept, problem, console.width), refresh=True)
                await asyncio.sleep(_REFRESH_S)


async def _unless_stopped(work: Coroutine[Any, Any, None], asked: asyncio.Event) -> bool:
    """Do `work` until a stop is asked for; return whether it came to its end."""
    doing, waiting = asyncio.create_task(work), asyncio.create_task(asked.wait())
    try:
        await asyncio.wait((doing, waiting), return_when=asyncio.FIRST_COMPLETED)
        finished = doing.done()
    finally:
        for task in (doing, waiting):
            task.cancel()
        await asyncio.wait((doing, waiting))
    if finished:
        await doing
    return finished
