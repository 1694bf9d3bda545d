from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optrading.market.codec import from_micros, to_timestamp
from optrading.market.v1 import gap_pb2
from optrading.storage.gaps import completeness

LOST, CLOSED = gap_pb2.GAP_CAUSE_DISCONNECT, gap_pb2.GAP_CAUSE_MARKET_CLOSED


def gap(start_us: int, end_us: int | None, cause: gap_pb2.GapCause.ValueType = LOST, legs: int = 0) -> gap_pb2.Gap:
    found = gap_pb2.Gap(cause=cause, start_time=to_timestamp(from_micros(start_us)), leg_count=legs)
    if end_us is not None:
        found.end_time.CopyFrom(to_timestamp(from_micros(end_us)))
    return found


@pytest.mark.parametrize(
    ("gaps", "expected"),
    [
        pytest.param([], 1.0, id="no gaps"),
        pytest.param([gap(10, 30)], 0.8, id="one gap"),
        pytest.param([gap(-50, 10), gap(90, 500)], 0.8, id="gaps that reach over the ends"),
        pytest.param([gap(10, 30), gap(20, 40), gap(25, 28)], 0.7, id="gaps that overlap count once"),
        pytest.param([gap(80, None)], 0.8, id="an open gap lasts to the end"),
        pytest.param([gap(10, 30, legs=4)], 1.0, id="single legs count in the chains themselves"),
        pytest.param([gap(0, 50, CLOSED)], 1.0, id="a closed market misses nothing"),
        pytest.param([gap(0, 50, CLOSED), gap(40, 75)], 0.5, id="only the open part of a gap counts"),
        pytest.param([gap(-5, 105)], 0.0, id="nothing at all"),
    ],
)
def test_the_part_of_the_open_time_without_gaps(gaps: list[gap_pb2.Gap], expected: float) -> None:
    assert completeness(gaps, 0, 100) == pytest.approx(expected)


def test_no_open_time_is_no_number() -> None:
    assert math.isnan(completeness([gap(0, 100, CLOSED)], 0, 100))
    assert math.isnan(completeness([], 5, 5))


@given(st.lists(st.tuples(st.integers(-20, 120), st.integers(0, 60), st.sampled_from((LOST, CLOSED)))))
def test_it_equals_a_count_instant_by_instant(rows: list[tuple[int, int, gap_pb2.GapCause.ValueType]]) -> None:
    def covered(cause: gap_pb2.GapCause.ValueType) -> set[int]:
        return {at for start, length, kind in rows if kind == cause for at in range(start, start + length)}

    opened = set(range(100)) - covered(CLOSED)
    found = completeness([gap(start, start + length, kind) for start, length, kind in rows], 0, 100)
    if opened:
        assert found == pytest.approx(len(opened - covered(LOST)) / len(opened))
    else:
        assert math.isnan(found)
