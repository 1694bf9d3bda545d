"""Ports: whether one is free, and free ones for services that nobody outside needs to know."""

from __future__ import annotations

import errno
import itertools
import os
import socket

HOST = "127.0.0.1"
"""Where the services of a local mesh listen."""

# Below the ports that Linux, macOS and Windows hand out to outgoing connections: while a service is down nobody else
# gets its port by chance.
_FIRST = 15_000
_LAST = 31_000
_BLOCK = 16
_meshes = itertools.count()


class PortError(Exception):
    """A port cannot be had."""


def is_free(port: int, host: str = HOST) -> bool:
    """Tell whether a server could listen on `port` now.

    Raises:
        PortError: The port is not ours to listen on.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do it: connections that are just ending do not occupy a port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise PortError(f"port {port} cannot be listened on: {error.strerror}") from error
    return True


def free_ports(count: int, host: str = HOST) -> list[int]:
    """Return `count` different ports that are free now.

    The search begins at a place that follows from the process and the call, so that meshes that start at the same time
    do not take each other's.

    Raises:
        PortError: There are not enough.
    """
    blocks = (_LAST - _FIRST) // _BLOCK
    # 7 is coprime to the number of blocks: neighbouring process ids are blocks apart, and so are calls.
    begin = _FIRST + (os.getpid() * 7 + next(_meshes)) % blocks * _BLOCK
    candidates = itertools.chain(range(begin, _LAST), range(_FIRST, begin))
    found = list(itertools.islice((port for port in candidates if is_free(port, host)), count))
    if len(found) < count:
        raise PortError(f"no {count} free ports between {_FIRST} and {_LAST} on {host}")
    return found
