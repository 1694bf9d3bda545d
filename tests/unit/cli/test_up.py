"""What `up` says about processes."""

from __future__ import annotations

import pytest

from optrading.cli.up import describe
from optrading.local.process import ProcessEvent, ProcessState


@pytest.mark.parametrize(
    ("event", "ready", "said"),
    [
        (
            ProcessEvent("storage", ProcessState.DIED, 7, -9, 0.1, 0, "chain_stored"),
            True,
            "storage killed by SIGKILL, starting again in 0.1 s: chain_stored",
        ),
        (
            ProcessEvent("storage", ProcessState.DIED, 7, -9, 0.1, 0, '{"level": "info", "message": "index_followed"}'),
            True,
            "storage killed by SIGKILL, starting again in 0.1 s: its last word was index_followed",
        ),
        (
            ProcessEvent("storage", ProcessState.DIED, 7, -9, 0.1),
            True,
            "storage killed by SIGKILL, starting again in 0.1 s",
        ),
        (
            ProcessEvent("storage", ProcessState.DIED, 7, 1, 1.25, 2, "storage: no disk"),
            False,
            "storage ended with 1, starting again in 1.2 s: storage: no disk",
        ),
        (ProcessEvent("storage", ProcessState.STARTED, 8, restarts=1), True, "storage started again, restart 1"),
        (ProcessEvent("storage", ProcessState.STARTED, 8), False, ""),
        (ProcessEvent("storage", ProcessState.STOPPED, 8, 0), True, ""),
        (ProcessEvent("storage", ProcessState.KILLED, 8, -9), True, "storage did not stop in time and was killed"),
    ],
)
def test_deaths_and_restarts_are_said_and_the_usual_is_not(event: ProcessEvent, ready: bool, said: str) -> None:
    assert describe(event, ready=ready) == said
