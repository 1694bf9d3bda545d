from __future__ import annotations

import numpy as np
import pytest

from optrading.market.chain import ORIGIN, Legs, Position, column
from tests.chains import small_chain


def test_positions_compare_by_epoch_then_sequence() -> None:
    assert ORIGIN < Position(1, 1) < Position(1, 2) < Position(2, 1)


def test_a_column_is_a_copy_that_cannot_be_changed() -> None:
    source = np.array([1.0, 2.0])
    values = column(source)
    source[0] = 9.0
    assert values.tolist() == [1.0, 2.0]
    with pytest.raises(ValueError, match="read-only"):
        values[0] = 3.0


def test_a_leg_is_known_when_one_value_is() -> None:
    unknown = Legs.unknown(3)
    assert unknown.known().tolist() == [False, False, False]
    last = unknown.last_inr.copy()
    last[1] = 0.0
    legs = Legs(column(last), *unknown.columns()[1:])
    assert legs.known().tolist() == [False, True, False]


def test_legs_are_counted_over_expiries_and_sides() -> None:
    chain = small_chain()
    assert chain.leg_count() == 12
    assert chain.expiries[0].take(np.array([True, False, True])).leg_count() == 4


def test_taking_rows_takes_them_of_every_column() -> None:
    taken = small_chain().expiries[0].take(slice(1, 2))
    assert taken.strike_inr.tolist() == [24_950.0]
    assert {len(values) for legs in (taken.call, taken.put) for values in legs.columns()} == {1}
    assert taken.atm_offset.shape == (1,)
