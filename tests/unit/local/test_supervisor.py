"""The supervisor, with small real processes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pytest

from optrading.local.process import ProcessEvent, ProcessState, Program, StartError
from optrading.local.supervisor import Supervisor

SLEEPS = (sys.executable, "-I", "-S", "-c", "import time; print('ready', flush=True); time.sleep(600)")
DIES = (sys.executable, "-I", "-S", "-c", "import sys; sys.exit('no disk')")
STUBBORN = (
    sys.executable,
    "-I",
    "-S",
    "-c",
    "import signal, time; signal.signal(15, signal.SIG_IGN); print('ready', flush=True); time.sleep(600)",
)


class Reports:
    def __init__(self) -> None:
        self.events: list[ProcessEvent] = []
        self._changed = asyncio.Event()

    def __call__(self, event: ProcessEvent) -> None:
        self.events.append(event)
        self._changed.set()

    def count(self, state: ProcessState, name: str | None = None) -> int:
        return sum(event.state is state and name in (None, event.name) for event in self.events)

    async def wait_for(self, state: ProcessState, count: int = 1, name: str | None = None) -> ProcessEvent:
        async with asyncio.timeout(20):
            while self.count(state, name) < count:
                self._changed.clear()
                await self._changed.wait()
        return [event for event in self.events if event.state is state and name in (None, event.name)][count - 1]


def program(name: str, command: Sequence[str], stage: int = 0, grace_s: float = 10.0) -> Program:
    return Program(name, command, {"PATH": os.environ["PATH"]}, stage, grace_s)


def is_alive(pid: int) -> bool:
    """A zombie is dead: nobody in this test waits for grandchildren."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def until(condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110  # what is waited for happens in another process
            await asyncio.sleep(0.01)


@pytest.fixture
def reports() -> Reports:
    return Reports()


@pytest.fixture
async def supervisor(tmp_path: Path, reports: Reports) -> AsyncIterator[Supervisor]:
    async with Supervisor(tmp_path, reports) as running:
        yield running


async def test_a_killed_process_is_started_again_with_a_new_pid(supervisor: Supervisor, reports: Reports) -> None:
    await supervisor.start(program("storage", SLEEPS))
    first = supervisor.kill("storage")
    died = await reports.wait_for(ProcessState.DIED)
    assert (died.exit_code, died.pid) == (-signal.SIGKILL, first)
    again = await reports.wait_for(ProcessState.STARTED, 2)
    assert again.pid != first
    assert supervisor.pids == {"storage": again.pid}
    assert supervisor.restarts == {"storage": 1}


async def test_what_keeps_dying_is_tried_ever_less_often_and_says_why(supervisor: Supervisor, reports: Reports) -> None:
    await supervisor.start(program("storage", DIES))
    await reports.wait_for(ProcessState.DIED, 4)
    delays = [event.restart_in_s for event in reports.events if event.state is ProcessState.DIED]
    assert all(delay is not None and 0.05 * 2**turn <= delay <= 0.1 * 2**turn for turn, delay in enumerate(delays[:4]))
    assert {event.last_line for event in reports.events if event.state is ProcessState.DIED} == {"no disk"}


async def test_stages_stop_from_the_highest_to_the_lowest_and_leave_no_process(tmp_path: Path) -> None:
    reports = Reports()
    async with Supervisor(tmp_path, reports) as supervisor:
        for stage, name in enumerate(("valkey", "collection", "envoy")):
            await supervisor.start(program(name, SLEEPS, stage))
        pids = supervisor.pids
    stopped = [event.name for event in reports.events if event.state is ProcessState.STOPPED]
    assert stopped == ["envoy", "collection", "valkey"]
    assert not [pid for pid in pids.values() if is_alive(pid)]


async def test_what_ignores_sigterm_is_killed_after_its_grace(tmp_path: Path) -> None:
    reports = Reports()
    async with Supervisor(tmp_path, reports) as supervisor:
        await supervisor.start(program("storage", STUBBORN, grace_s=0.2))
        await until(lambda: "ready" in supervisor.log_of("storage").read_text())
        pid = supervisor.pids["storage"]
    assert reports.count(ProcessState.KILLED) == 1
    assert not is_alive(pid)


async def test_stopping_while_a_restart_is_waited_for_does_not_start_it(tmp_path: Path) -> None:
    reports = Reports()
    async with Supervisor(tmp_path, reports) as supervisor:
        await supervisor.start(program("storage", DIES))
        await reports.wait_for(ProcessState.DIED, 5)
        started = reports.count(ProcessState.STARTED)
    assert reports.count(ProcessState.STARTED) == started
    assert supervisor.pids == {}


async def test_processes_are_in_groups_of_their_own_so_ctrl_c_reaches_the_parent_only(supervisor: Supervisor) -> None:
    await supervisor.start(program("storage", SLEEPS))
    pid = supervisor.pids["storage"]
    await until(lambda: os.getpgid(pid) == pid)
    assert os.getpgid(pid) != os.getpgid(0)


async def test_output_goes_to_the_log_of_the_process(supervisor: Supervisor) -> None:
    await supervisor.start(program("storage", SLEEPS))
    await until(lambda: supervisor.log_of("storage").read_text() == "ready\n")


async def test_what_a_process_writes_is_for_its_owner_only(supervisor: Supervisor, tmp_path: Path) -> None:
    file = tmp_path / "state"
    await supervisor.start(program("storage", [sys.executable, "-c", f"open({str(file)!r}, 'w'); input()"]))
    await until(file.exists)
    assert file.stat().st_mode & 0o777 == 0o600


async def test_a_program_that_does_not_exist_is_refused(supervisor: Supervisor) -> None:
    with pytest.raises(StartError, match="no/such/program"):
        await supervisor.start(program("storage", ["/no/such/program"]))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with their parent")
async def test_children_die_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    parent_program = f"""
import asyncio, pathlib, sys
from optrading.local.process import Program
from optrading.local.supervisor import Supervisor
async def main():
    async with Supervisor(pathlib.Path({str(tmp_path)!r}), lambda event: None) as supervisor:
        await supervisor.start(Program("child", {STUBBORN!r}, {{}}))
        while "ready" not in supervisor.log_of("child").read_text():
            await asyncio.sleep(0.01)
        print(supervisor.pids["child"], flush=True)
        await asyncio.sleep(600)
asyncio.run(main())
"""
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", parent_program, stdout=asyncio.subprocess.PIPE)
    assert parent.stdout is not None
    child = int(await asyncio.wait_for(parent.stdout.readline(), 20))
    try:
        assert is_alive(child)
        parent.kill()
        await parent.wait()
        await until(lambda: not is_alive(child))
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
