"""Whether two chains hold the same market, value by value."""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import count

import numpy as np

from optrading.market.chain import Chain


def assert_same_market(one: Chain, other: Chain) -> None:
    assert (one.index, one.event_time) == (other.index, other.event_time)
    np.testing.assert_array_equal(one.spot_inr, other.spot_inr)
    assert [e.expiry for e in one.expiries] == [e.expiry for e in other.expiries]
    for a, b in zip(one.expiries, other.expiries, strict=True):
        assert a.lot_size == b.lot_size
        np.testing.assert_array_equal(a.strike_inr, b.strike_inr)
        np.testing.assert_array_equal(a.atm_offset, b.atm_offset)
        for ours, theirs in ((a.call, b.call), (a.put, b.put)):
            for mine, yours in zip(ours.columns(), theirs.columns(), strict=True):
                np.testing.assert_array_equal(mine, yours)


async def take(chains: AsyncIterator[Chain], limit: int | None = None) -> list[Chain]:
    taken: list[Chain] = []
    for _ in range(limit) if limit is not None else count():
        try:
            taken.append(await anext(chains))
        except StopAsyncIteration:
            break
    return taken
