"""What every kind of test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# A machine that is busy is no failure: how long an example takes is for benchmarks to say.
settings.register_profile("house", deadline=None)
settings.load_profile("house")

ROOT = Path(__file__).resolve().parent.parent
"""The repository."""


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of recorded market data, which is not part of the repository."""
    folder = Path(os.environ.get("OPTRADING_REAL_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no recorded market data at {folder}; set OPTRADING_REAL_DATA")
    return folder
