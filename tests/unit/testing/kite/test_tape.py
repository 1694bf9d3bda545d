"""Tapes: instants in order, each with its chains; recordings, chains in memory and the market live alike."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from optrading.collection.feeds.replay import open_recording
from optrading.testing.kite import ChainTape, RecordedTape, SyntheticTape
from optrading.testing.kite.tape import number_at
from optrading.testing.recordings import write_recording
from tests.chains import OPENING, small_chain
from tests.unit.collection.feeds.same_chain import assert_same_market

MINUTE = timedelta(minutes=1)


def test_a_recording_and_its_chains_in_memory_are_one_tape(tmp_path: Path) -> None:
    chains = write_recording(tmp_path / "day.parquet", index=["NIFTY", "SENSEX"], minutes=3, strikes=2)
    recorded, in_memory = RecordedTape(open_recording(tmp_path / "day.parquet")), ChainTape(chains)
    assert recorded.count == in_memory.count == 3
    assert recorded.indices == in_memory.indices == ("NIFTY", "SENSEX")
    for number in range(3):
        assert recorded.instant(number) == in_memory.instant(number)
        for one, other in zip(recorded.chains(number), in_memory.chains(number), strict=True):
            assert_same_market(one, other)
    since, until = recorded.instant(1), recorded.instant(2)
    for tape in (recorded, in_memory):
        assert [chain.event_time for chain in tape.between("SENSEX", since, until)] == [since]
        assert sum(1 for _ in tape.listed()) == 6


def test_an_instant_that_is_not_on_the_tape_is_an_error() -> None:
    tape = ChainTape([small_chain()])
    for number in (-1, 1):
        with pytest.raises(IndexError, match="the tape has 1"):
            tape.chains(number)
    with pytest.raises(ValueError, match="at least one"):
        ChainTape([])


def test_the_synthetic_market_goes_on_without_an_end() -> None:
    start = datetime(2026, 8, 18, 5, 0, 0, 700_000, tzinfo=UTC)
    tape = SyntheticTape(start=start, indices=["SENSEX", "NIFTY"])
    assert tape.count is None
    assert tape.indices == ("NIFTY", "SENSEX")
    assert tape.instant(90) == datetime(2026, 8, 18, 5, 1, 30, tzinfo=UTC)
    assert [chain.index for chain in tape.chains(1)] == ["NIFTY", "SENSEX"]
    times = [chain.event_time for chain in tape.between("NIFTY", OPENING, OPENING + MINUTE)]
    assert times == [OPENING, OPENING + timedelta(seconds=59)]


@pytest.mark.parametrize("minutes", [-5, 0, 2.5, 4, 60])
def test_a_place_on_the_tape_is_found_by_its_time(minutes: float) -> None:
    recorded = ChainTape([small_chain(minute=minute) for minute in range(5)])
    live = SyntheticTape(start=OPENING, interval_s=60)
    instant = OPENING + minutes * MINUTE
    assert number_at(recorded, instant) == min(max(int(minutes), 0), 4)
    assert number_at(live, instant) == max(int(minutes), 0)
