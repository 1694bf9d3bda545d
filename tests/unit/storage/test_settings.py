from __future__ import annotations

import pytest
from pydantic import ValidationError

from optrading.storage.query import Reader
from optrading.storage.settings import StorageSettings


async def test_the_query_engine_gets_its_memory_its_threads_and_its_folder(tmp_path):
    leftover = tmp_path / "duckdb.tmp" / "old"
    leftover.mkdir(parents=True)
    settings = StorageSettings(duckdb_memory_limit_mb=100, duckdb_threads=1, read_threads=3)
    async with Reader(tmp_path, settings) as reader:
        asked = "SELECT current_setting('memory_limit'), current_setting('threads'), current_setting('temp_directory')"
        memory, threads, folder = reader._database.execute(asked).fetchone()
        assert (memory, threads, folder) == ("95.3 MiB", 1, str(tmp_path / "duckdb.tmp"))
        assert reader._threads._max_workers == 3
        assert not leftover.exists()


async def test_the_query_engine_never_fetches_anything(tmp_path):
    async with Reader(tmp_path, StorageSettings()) as reader:
        for name in ("autoinstall_known_extensions", "autoload_known_extensions", "python_enable_replacements"):
            assert reader._database.execute(f"SELECT current_setting('{name}')").fetchone() == (False,)


@pytest.mark.parametrize("name", ["roll_interval_s", "roll_rows", "reorder_chains", "duckdb_memory_limit_mb"])
def test_a_setting_that_could_not_work_is_refused(name):
    with pytest.raises(ValidationError, match=name):
        StorageSettings(**{name: 0})


def test_settings_are_read_from_the_environment(monkeypatch):
    monkeypatch.setenv("ROLL_INTERVAL_S", "12.5")
    assert StorageSettings().roll_interval_s == 12.5
