from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from optrading.common.database import open_database, transaction
from optrading.common.outbox import Notice, Outbox
from optrading.market.v1 import event_pb2


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(open_database(tmp_path / "a.sqlite")) as opened:
        yield opened


def notices(*ids: str) -> list[Notice]:
    return [Notice(event_pb2.Event(event_id=each, event_type="legs_collected"), f"00-{each}") for each in ids]


def waiting(outbox: Outbox, limit: int = 100) -> list[str]:
    return [notice.event.event_id for notice in outbox.pending(limit)]


def test_notices_wait_in_order_until_they_are_removed(connection: sqlite3.Connection) -> None:
    outbox = Outbox(connection, enabled=True)
    outbox.add(notices("a", "b"))
    outbox.add(notices("c"))
    assert waiting(outbox) == ["a", "b", "c"]
    assert waiting(outbox, 2) == ["a", "b"]
    assert [notice.traceparent for notice in outbox.pending(1)] == ["00-a"]
    outbox.remove(outbox.pending(2))
    assert waiting(outbox) == ["c"]


def test_they_survive_a_restart_and_never_take_the_place_of_others(tmp_path: Path) -> None:
    for name in ("a", "b"):
        with closing(open_database(tmp_path / "a.sqlite")) as connection:
            outbox = Outbox(connection, enabled=True)
            outbox.add(notices(name))
            assert waiting(outbox) == [name]
            first = outbox.pending(1)
            outbox.remove(first)
            outbox.remove(first)


def test_a_notice_is_there_exactly_when_what_it_tells_of_is(connection: sqlite3.Connection) -> None:
    outbox = Outbox(connection, enabled=True)

    def cut_short() -> None:
        with transaction(connection):
            outbox.add(notices("a"))
            raise RuntimeError("power")

    with pytest.raises(RuntimeError, match="power"):
        cut_short()
    assert waiting(outbox) == []
    with transaction(connection):
        outbox.add(notices("b"))
    assert waiting(outbox) == ["b"]


def test_without_a_bus_nothing_is_kept(connection: sqlite3.Connection) -> None:
    outbox = Outbox(connection, enabled=False)
    outbox.add(notices("a"))
    assert waiting(outbox) == []


def test_while_the_bus_is_away_only_the_newest_are_kept(connection: sqlite3.Connection) -> None:
    outbox = Outbox(connection, enabled=True, capacity=3)
    for n in range(10):
        outbox.add(notices(str(n)))
    assert waiting(outbox) == ["7", "8", "9"]
