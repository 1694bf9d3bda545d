from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from optrading.market.chain import Position
from optrading.storage.history import Damage, IndexHistory
from optrading.storage.planning import Span, latest_before, plan
from optrading.storage.stores.catalog import SealedFile

bounds = st.tuples(st.integers(0, 50), st.integers(0, 20)).map(lambda pair: (pair[0], pair[0] + pair[1]))
spans = st.builds(Span, st.none() | st.integers(0, 60), st.none() | st.integers(0, 60))


def file(number: int, first_us: int, last_us: int) -> SealedFile:
    return SealedFile(f"{number}.parquet", "NIFTY", 7, number, number, 1, 1, first_us, last_us, 1, "")


def history(ranges, damaged=()) -> IndexHistory:
    files = tuple(file(number, *each) for number, each in enumerate(ranges))
    rows = tuple(Damage(Position(7, 900 + n), at) for n, at in enumerate(damaged))
    return IndexHistory("NIFTY", files=files, damaged=rows)


@given(st.lists(bounds, max_size=8), st.lists(st.integers(0, 60), max_size=3), spans)
def test_segments_do_not_overlap_are_in_order_and_hold_everything_of_the_span(ranges, damaged, span):
    whole = history(ranges, damaged)
    segments = list(plan(whole, span))
    edges = [
        [(f.min_event_time_us, f.max_event_time_us) for f in s.files] + [(d.event_time_us,) * 2 for d in s.damaged]
        for s in segments
    ]
    for earlier, later in pairwise(edges):
        assert max(last for _, last in earlier) < min(first for first, _ in later)
    wanted = {f.path for f in whole.files if span.overlaps(f.min_event_time_us, f.max_event_time_us)}
    assert {f.path for s in segments for f in s.files} == wanted
    assert sorted(d.event_time_us for s in segments for d in s.damaged) == sorted(d for d in damaged if span.has(d))


def test_disjoint_files_are_read_one_by_one_and_overlapping_ones_together():
    segments = list(plan(history([(20, 30), (0, 9), (25, 40), (10, 19)]), Span()))
    assert [[f.path for f in s.files] for s in segments] == [["1.parquet"], ["3.parquet"], ["0.parquet", "2.parquet"]]


@given(st.lists(bounds, max_size=8), st.integers(0, 60))
def test_the_latest_instant_is_never_missed(ranges, end_us):
    known, files = latest_before(history(ranges), end_us)
    candidates = [t for first, last in ranges for t in range(first, last + 1) if t < end_us]
    if not candidates:
        assert (known, files) == (None, [])
        return
    assert known is not None
    assert known < end_us
    # Whatever is later than what is known lies in a file that is named.
    for first, last in ranges:
        if first < end_us and any(t > known for t in range(first, min(last, end_us - 1) + 1)):
            assert any((f.min_event_time_us, f.max_event_time_us) == (first, last) for f in files)
