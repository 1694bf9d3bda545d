"""Numbers that alerts are made of, for Prometheus; served where the settings say."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import Counter, start_http_server

from optrading.common.serving import AddressInUseError

SESSION_REFUSALS = Counter(
    "optrading_session_refusals",
    "Times that the broker refused the session, or that none was there for the coming market: somebody must log in.",
)
"""Alert when it grows."""


@contextmanager
def serve_metrics(address: str) -> Iterator[int]:
    """Serve the metrics of this process at `address` (host:port) over HTTP while the block runs; nothing when empty.

    Yields:
        The port; 0 when nothing is served.

    Raises:
        AddressInUseError: The address cannot be listened on.
    """
    if not address:
        yield 0
        return
    host, _, port = address.rpartition(":")
    try:
        server, thread = start_http_server(int(port), host)
    except (OSError, ValueError) as error:
        raise AddressInUseError(f"METRICS_ADDRESS={address} cannot be listened on ({error})") from error
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
