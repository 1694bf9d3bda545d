"""One gateway per test process; its tests leave it as they found it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.gateway.edge import Edge, running_edge, wait_until


@pytest.fixture(scope="session")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    """The real gateway before canned services."""
    with running_edge(tmp_path_factory.mktemp("edge")) as running:
        yield running


@pytest.fixture
def degraded(edge: Edge) -> Iterator[Edge]:
    """The same while storage says that it does not serve."""

    def status(path: str) -> int:
        return edge.http.get(path, headers=edge.bearer("read_data")).status_code

    edge.upstreams.set_serving("storage", False)
    try:
        wait_until(lambda: (status("/health"), status("/history")) == (503, 503), "503 from health and storage")
        yield edge
    finally:
        edge.upstreams.set_serving("storage", True)
        wait_until(lambda: (status("/health"), status("/history")) == (200, 200), "200 from health and storage")
