"""Keeps processes running: starts them, starts again what dies, and stops them in order."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from optrading.local import launch
from optrading.local.process import ProcessEvent, ProcessState, Program, StartError
from optrading.local.process_log import bound_log, last_line, open_log, reopen_log

FIRST_BACKOFF_S = 0.1
LONGEST_BACKOFF_S = 10.0
HEALTHY_AFTER_S = 30.0
"""A process that ran this long had recovered: its next death is waited for as shortly as a first one."""

_LOG_CHECK_S = 10.0
_KILL_WAIT_S = 5.0


@dataclass(slots=True)
class _Kept:
    program: Program
    process: asyncio.subprocess.Process
    keeper: asyncio.Task[None] | None = None
    restarts: int = 0
    stopping: asyncio.Event = field(default_factory=asyncio.Event)


class Supervisor:
    """Runs programs as children, each in a process group of its own; use as `async with`.

    Ctrl-C at the terminal reaches only this process, which then stops the children in order. Should it be killed
    itself, the kernel kills them (on Linux). A child that dies is started again, ever less often up to every ten
    seconds, and never given up.
    """

    def __init__(self, log_directory: Path, report: Callable[[ProcessEvent], None]) -> None:
        """Write each program's output to `log_directory`/<name>.log and tell `report` what happens."""
        self._logs = log_directory
        self._report = report
        self._kept: dict[str, _Kept] = {}
        self._bounding: asyncio.Task[None] | None = None

    async def start(self, program: Program) -> None:
        """Start `program` and keep it running.

        Raises:
            StartError: Its executable or log file cannot be used.
        """
        if not os.access(program.command[0], os.X_OK):
            raise StartError(f"{program.name}: {program.command[0]} cannot be executed")
        try:
            process = await self._spawn(program, open_log(self.log_of(program.name)))
        except OSError as error:
            raise StartError(f"{program.name} cannot be started: {error}") from error
        kept = self._kept[program.name] = _Kept(program, process)
        kept.keeper = asyncio.create_task(self._keep(kept), name=f"keep {program.name}")

    def log_of(self, name: str) -> Path:
        """Return the log file of a program."""
        return self._logs / f"{name}.log"

    @property
    def pids(self) -> dict[str, int]:
        """Return the process ids of what runs now, by name."""
        return {name: kept.process.pid for name, kept in self._kept.items() if kept.process.returncode is None}

    @property
    def restarts(self) -> dict[str, int]:
        """Return how often each program has been started again."""
        return {name: kept.restarts for name, kept in self._kept.items()}

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> int:
        """Send a signal to a program, as an accident would, and return the process id it had."""
        kept = self._kept[name]
        kept.process.send_signal(number)
        return kept.process.pid

    async def stop(self) -> None:
        """Stop everything, the highest stage first: SIGTERM, the grace of each, SIGKILL. Idempotent."""
        for kept in self._kept.values():
            kept.stopping.set()  # whatever dies from here on stays dead
        for stage in sorted({kept.program.stage for kept in self._kept.values()}, reverse=True):
            members = [kept for kept in self._kept.values() if kept.program.stage == stage]
            await asyncio.gather(*(self._end(kept) for kept in members))

    def kill_all(self) -> None:
        """End every child at once, without waiting; for a second Ctrl-C."""
        for kept in self._kept.values():
            kept.stopping.set()
            _signal_group(kept.process, signal.SIGKILL)

    async def __aenter__(self) -> Self:
        """Begin with no programs."""
        self._bounding = asyncio.create_task(self._bound_logs(), name="bound logs")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop everything, also when cancelled."""
        if self._bounding is not None:
            self._bounding.cancel()
        try:
            await self.stop()
        except asyncio.CancelledError:
            self.kill_all()
            raise

    async def _spawn(self, program: Program, log: int) -> asyncio.subprocess.Process:
        try:
            return await asyncio.create_subprocess_exec(
                sys.executable,
                "-I",
                "-S",
                str(launch.__file__),
                str(os.getpid()),
                *program.command,
                env=dict(program.environment),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                process_group=0,
            )
        finally:
            os.close(log)

    async def _keep(self, kept: _Kept) -> None:
        loop = asyncio.get_running_loop()
        backoff_s = FIRST_BACKOFF_S
        while True:
            began = loop.time()
            self._tell(kept, ProcessState.STARTED)
            await kept.process.wait()
            if kept.stopping.is_set():
                return
            if loop.time() - began >= HEALTHY_AFTER_S:
                backoff_s = FIRST_BACKOFF_S
            delay_s = backoff_s * random.uniform(0.5, 1.0)
            backoff_s = min(2 * backoff_s, LONGEST_BACKOFF_S)
            self._tell(kept, ProcessState.DIED, restart_in_s=delay_s)
            while not await self._start_again(kept, delay_s):
                delay_s = LONGEST_BACKOFF_S
            if kept.stopping.is_set():
                return

    async def _start_again(self, kept: _Kept, delay_s: float) -> bool:
        """Wait, then start; True when it runs or is not wanted any more."""
        # Not wait_for, here and below: in Python 3.11 it can lose a cancellation.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(delay_s):
                await kept.stopping.wait()
        if kept.stopping.is_set():
            return True
        try:
            process = await self._spawn(kept.program, reopen_log(self.log_of(kept.program.name)))
        except OSError:  # no memory, no descriptors: later there may be
            return False
        kept.process = process
        kept.restarts += 1
        return True

    async def _end(self, kept: _Kept) -> None:
        await self._terminate(kept)
        if kept.keeper is not None:
            await kept.keeper
        await self._terminate(kept)  # it may just have been started again

    async def _terminate(self, kept: _Kept) -> None:
        process = kept.process
        if process.returncode is not None:
            return
        state = ProcessState.STOPPED
        _signal_group(process, signal.SIGTERM)
        try:
            async with asyncio.timeout(kept.program.grace_s):
                await process.wait()
        except TimeoutError:
            state = ProcessState.KILLED
            _signal_group(process, signal.SIGKILL)
            async with asyncio.timeout(_KILL_WAIT_S):
                await process.wait()
        self._tell(kept, state)

    def _tell(self, kept: _Kept, state: ProcessState, restart_in_s: float | None = None) -> None:
        name = kept.program.name
        line = last_line(self.log_of(name)) if state is ProcessState.DIED else ""
        process = kept.process
        self._report(
            ProcessEvent(name, state, process.pid, process.returncode, restart_in_s, kept.restarts, last_line=line)
        )

    async def _bound_logs(self) -> None:
        while True:
            await asyncio.sleep(_LOG_CHECK_S)
            for name in list(self._kept):
                await asyncio.to_thread(bound_log, self.log_of(name))


def _signal_group(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    """Signal a child and what it started itself; its group is its own process id."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
