from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from optrading.common.chain_bytes import serialize_chain
from optrading.market.chain import Completeness, ExpiryChain, Legs, Position, column
from optrading.market.codec import encode_chain
from optrading.market.quality import QualityFlag
from tests.chains import small_chain

numbers = st.floats(width=64)


@st.composite
def legs(draw: st.DrawFn, size: int) -> Legs:
    columns = [column(draw(st.lists(numbers, min_size=size, max_size=size))) for _ in range(6)]
    flags = draw(st.lists(st.integers(0, 255), min_size=size, max_size=size)) if draw(st.booleans()) else [0] * size
    return Legs(*columns, quality=np.array(flags, dtype=np.uint16))


@st.composite
def expiries(draw: st.DrawFn) -> ExpiryChain:
    size = draw(st.sampled_from([0, 1, 2, 20]))
    return ExpiryChain(
        draw(st.dates()),
        draw(st.integers(0, 1_000)),
        column(np.arange(size) * 50.0),
        draw(legs(size)),
        draw(legs(size)),
        np.arange(size, dtype=np.int32) - size // 2,
        draw(st.sampled_from([(), ("this_week",), ("next_week", "this_month")])),
    )


@settings(max_examples=50)  # each is a chain with hundreds of numbers
@given(
    st.lists(expiries(), max_size=3).map(tuple),
    st.builds(Position, st.integers(0, 2**62), st.integers(0, 2**62)),
    st.sampled_from([None, Completeness(4, 3, 1, 0.75, 2), Completeness(0, 0, 0, float("nan"), 0)]),
    numbers,
)
def test_the_bytes_are_those_of_the_message(listed, position: Position, completeness, spot_inr: float) -> None:
    chain = replace(small_chain(), expiries=listed, spot_inr=spot_inr, completeness=completeness)
    assert serialize_chain(chain, position) == encode_chain(chain, position).SerializeToString()


def test_flags_of_the_chain_and_columns_that_are_no_copies_are_in_the_bytes() -> None:
    chain = replace(small_chain(), quality=QualityFlag.STALE | QualityFlag.INCOMPLETE)
    thinned = replace(chain, expiries=tuple(each.take(slice(None, None, 2)) for each in chain.expiries))
    for each in (chain, thinned):
        assert serialize_chain(each, Position(7, 1)) == encode_chain(each, Position(7, 1)).SerializeToString()
