"""Becomes another program, one that cannot outlive its parent; run by path, with the bare interpreter.

`python -I -S launch.py <parent pid> <program> <argument>...`

A `preexec_fn` would do the same without a process start (12 ms), but runs Python between fork and exec, where gRPC's
threads of the parent may hold any lock.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main() -> None:
    """Ask the kernel for SIGKILL when the parent dies (only Linux has that), then exec."""
    parent, program = int(sys.argv[1]), sys.argv[2:]
    os.umask(0o077)  # journals, recorded data, Valkey's files: whatever it writes is for its owner only
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before the request was made
            sys.exit(1)
    try:
        os.execv(program[0], program)  # noqa: S606  # no shell is the point
    except OSError as error:
        sys.exit(f"{program[0]} cannot be run: {error.strerror}")


if __name__ == "__main__":
    main()
