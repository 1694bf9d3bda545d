"""Garbage is garbage: no kind of it can be read as a tick of a listed token."""

from __future__ import annotations

import random
import struct

from hypothesis import given
from hypothesis import strategies as st
from kiteconnect import KiteTicker

from optrading.testing.kite.garbage import NOBODYS_TOKEN, garbage_frame


@given(st.integers(0, 2**32))
def test_no_garbage_holds_a_tick_of_anybody(seed: int) -> None:
    _, frame = garbage_frame(random.Random(seed))
    try:
        ticks = KiteTicker("key", "token")._parse_binary(frame)
    except struct.error:
        return  # what Kite's own client says to a frame that ends too early
    assert {tick["instrument_token"] for tick in ticks} <= {NOBODYS_TOKEN}


def test_the_same_seed_gives_the_same_garbage_and_every_kind_occurs() -> None:
    kinds = {garbage_frame(random.Random(seed))[0] for seed in range(100)}
    assert len(kinds) == 6
    assert garbage_frame(random.Random(7)) == garbage_frame(random.Random(7))
