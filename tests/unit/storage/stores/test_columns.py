from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optrading.market.chain import Position
from optrading.storage.stores.columns import SCHEMA, chains_of, rows_of
from tests.unit.storage.samples import bits, chains, positions_for

COMPLETENESS = {
    "wanted_leg_count",
    "known_leg_count",
    "flagged_leg_count",
    "open_gap_count",
    "completeness_ratio",
}


def joined(some) -> pa.Table:
    table = pa.Table.from_batches([rows_of(position, chain) for position, chain in some], schema=SCHEMA)
    return table.combine_chunks()


@given(chains())
def test_a_chain_survives_as_rows_to_the_last_bit(chain):
    position = Position(7, 3)
    [[(found, again)]] = chains_of("NIFTY", [rows_of(position, chain)])
    assert bits(again, found) == bits(chain, position)


@settings(max_examples=40)
@given(st.lists(chains(), min_size=1, max_size=5), st.integers(1, 9))
def test_chains_are_put_together_again_however_their_rows_are_cut_into_batches(some, batch_rows):
    placed = list(zip(positions_for(len(some)), some, strict=True))
    batches = joined(placed).to_batches(max_chunksize=batch_rows)
    found = [each for batch in chains_of("NIFTY", batches) for each in batch]
    assert [bits(chain, position) for position, chain in found] == [bits(chain, position) for position, chain in placed]


@given(chains())
def test_null_is_only_what_is_empty_or_was_not_said(chain):
    rows = rows_of(Position(7, 3), chain)
    empty = sum(not len(expiry.strike_inr) for expiry in chain.expiries)
    for name in rows.schema.names:
        expected = {"strike_inr": empty if chain.expiries else 1, "expiry": int(not chain.expiries)}.get(name, 0)
        if name in COMPLETENESS and chain.completeness is None:
            expected = rows.num_rows
        assert rows[name].null_count == expected


def test_no_rows_are_no_chains():
    assert list(chains_of("NIFTY", [])) == []
    assert list(chains_of("NIFTY", SCHEMA.empty_table().to_batches())) == []


@settings(max_examples=10)
@given(chains())
def test_columns_of_a_chain_cannot_be_written_to(chain):
    [[(_, again)]] = chains_of("NIFTY", [rows_of(Position(7, 3), chain)])
    for expiry in again.expiries:
        if len(expiry.strike_inr):
            with pytest.raises(ValueError, match="read-only"):
                expiry.call.last_inr[0] = np.nan
