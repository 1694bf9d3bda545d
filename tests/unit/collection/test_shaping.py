from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from optrading.collection.shaping import Shaper
from optrading.market.chain import Chain
from optrading.market.window import WindowShape
from tests.chains import OPENING, small_chain


def shape_chain(chain: Chain, offsets: frozenset[int] | None) -> Chain:
    return Shaper(WindowShape(offsets)).shape(chain)


def rows(chain: Chain) -> list[tuple[list[float], list[int]]]:
    return [(each.strike_inr.tolist(), each.atm_offset.tolist()) for each in chain.expiries]


def test_all_strikes_get_their_offsets_and_every_expiry_its_buckets() -> None:
    shaped = shape_chain(small_chain(), None)
    assert rows(shaped) == [([24_900.0, 24_950.0, 25_000.0], [-1, 0, 1])] * 2
    assert [each.buckets for each in shaped.expiries] == [("this_week",), ("next_week", "this_month")]


def test_wanted_offsets_are_taken_and_what_is_not_listed_is_not_made_up() -> None:
    shaped = shape_chain(small_chain(), frozenset({-2, -1, 1}))
    assert rows(shaped) == [([24_900.0, 25_000.0], [-1, 1])] * 2
    assert [len(each.call.last_inr) for each in shaped.expiries] == [2, 2]
    assert shaped.expiries[0].call.last_inr.tolist() == small_chain().expiries[0].call.last_inr[[0, 2]].tolist()


def test_an_expiry_without_strikes_stays_empty() -> None:
    chain = small_chain(strikes=())
    assert rows(shape_chain(chain, frozenset({0}))) == [([], [])] * 2


def test_an_unknown_spot_takes_the_middle_of_the_ladder() -> None:
    assert rows(shape_chain(replace(small_chain(), spot_inr=np.nan), None))[0][1] == [-1, 0, 1]


@pytest.mark.parametrize(("hours", "bucket"), [(14, ("this_week",)), (15, ())])
def test_buckets_follow_the_day_in_india(hours: int, bucket: tuple[str, ...]) -> None:
    chain = replace(small_chain(), event_time=OPENING + timedelta(hours=hours))  # 23:15 IST, and 00:15 of the next day
    assert shape_chain(chain, None).expiries[0].buckets == bucket


def test_a_leg_stays_while_the_window_follows_the_spot() -> None:
    shaper = Shaper(WindowShape(frozenset({0})))
    first = shaper.shape(small_chain())
    moved = shaper.shape(replace(small_chain(minute=1), spot_inr=24_999.0))
    settled = shaper.shape(replace(small_chain(minute=7), spot_inr=24_999.0))
    assert rows(first)[0] == ([24_950.0], [0])
    assert rows(moved)[0] == ([24_950.0, 25_000.0], [-1, 0])
    assert rows(settled)[0] == ([25_000.0], [0])


def test_each_index_has_a_window_of_its_own() -> None:
    shaper = Shaper(WindowShape(frozenset({0})))
    assert rows(shaper.shape(small_chain("NIFTY")))[0] == ([24_950.0], [0])
    assert rows(shaper.shape(replace(small_chain("SENSEX"), spot_inr=24_901.0)))[0] == ([24_900.0], [0])
