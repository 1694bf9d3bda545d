from __future__ import annotations

from pathlib import Path

import pytest

from optrading.local.authority import ensure_certificates


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates of one mesh."""
    directory = tmp_path_factory.mktemp("tls")
    ensure_certificates(directory, "optrading.local")
    return directory
