"""Log files of processes."""

from __future__ import annotations

import os
from pathlib import Path

from optrading.local.process_log import bound_log, last_line, open_log, previous


def test_a_start_begins_a_new_log_and_keeps_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "storage.log"
    for text in (b"first\n", b"second\n", b"third\n"):
        handle = open_log(path)
        os.write(handle, text)
        os.close(handle)
    assert path.read_text() == "third\n"
    assert previous(path).read_text() == "second\n"


def test_a_log_that_grew_too_long_is_moved_aside_while_it_is_written_to(tmp_path: Path) -> None:
    path = tmp_path / "storage.log"
    handle = open_log(path)
    os.write(handle, b"x" * 100)
    assert not bound_log(path, longest_bytes=100)
    os.write(handle, b"y")
    assert bound_log(path, longest_bytes=100)
    os.write(handle, b"after\n")
    os.close(handle)
    assert previous(path).stat().st_size == 101
    assert path.read_bytes() == b"after\n"


def test_the_last_line_is_the_last_that_says_something(tmp_path: Path) -> None:
    path = tmp_path / "storage.log"
    assert last_line(path) == ""
    path.write_text("x" * 10_000 + "\nstorage: no disk\n\n  \n")
    assert last_line(path) == "storage: no disk"
    path.write_text("    | AttributeError: no such thing\n    +---------------\n")
    assert last_line(path) == "AttributeError: no such thing"
