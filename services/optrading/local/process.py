"""What a process of the mesh is, what can happen to it, and that it cannot be started."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Program:
    """One process to keep running.

    Attributes:
        name: Unique; also the name of its log file.
        command: Absolute path of the executable, then arguments.
        environment: Its whole environment.
        stage: Stages stop from the highest to the lowest; what is in one stage stops together.
        grace_s: Time between SIGTERM and SIGKILL, seconds.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    stage: int = 0
    grace_s: float = 10.0


class ProcessState(StrEnum):
    """What a process is doing."""

    STARTED = "started"
    DIED = "died"
    STOPPED = "stopped"
    KILLED = "killed"


@dataclass(frozen=True, slots=True)
class ProcessEvent:
    """Something that happened to a process.

    Attributes:
        name: Of the program.
        state: What it is now.
        pid: Of the process.
        exit_code: As subprocess has it: negative is the signal; None while it runs.
        restart_in_s: After a death: seconds until it is started again; None otherwise.
        restarts: How often it has been started again so far.
        last_line: After a death: last line of its log.
    """

    name: str
    state: ProcessState
    pid: int
    exit_code: int | None = None
    restart_in_s: float | None = None
    restarts: int = 0
    last_line: str = ""


class StartError(Exception):
    """A program cannot be started at all."""
