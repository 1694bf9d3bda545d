from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optrading.market.chain import LEG_COLUMNS, Chain, Completeness, ExpiryChain, Floats, Legs, Position, column
from optrading.market.codec import (
    decode_chain,
    encode_chain,
    from_micros,
    from_timestamp,
    position_of,
    to_micros,
    to_timestamp,
)
from optrading.market.quality import QualityFlag
from optrading.market.v1 import chain_pb2
from tests.chains import small_chain

NUMBERS = st.one_of(
    st.floats(allow_nan=False),
    st.sampled_from([math.nan, -0.0, 0.0, math.inf, -math.inf, 5e-324, 24_950.05, 2**53 + 1.0]),
)
INSTANTS = st.datetimes(datetime(1960, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))


@st.composite
def legs(draw: st.DrawFn, size: int) -> Legs:
    numbers = [column(draw(st.lists(NUMBERS, min_size=size, max_size=size))) for _ in LEG_COLUMNS]
    flags = draw(st.lists(st.sampled_from((0, 1, 18)), min_size=size, max_size=size))
    return Legs(*numbers, quality=np.array(flags, dtype=np.uint16))


@st.composite
def expiries(draw: st.DrawFn) -> ExpiryChain:
    strikes = sorted(draw(st.lists(st.floats(1, 1e6), max_size=4, unique=True)))
    size = len(strikes)
    return ExpiryChain(
        expiry=draw(st.dates()),
        lot_size=draw(st.integers(0, 2**40)),
        strike_inr=column(strikes),
        call=draw(legs(size)),
        put=draw(legs(size)),
        atm_offset=np.array(
            draw(st.lists(st.integers(-(2**31), 2**31 - 1), min_size=size, max_size=size)), dtype=np.int32
        ),
        buckets=tuple(draw(st.lists(st.sampled_from(["this_week", "this_month"]), unique=True))),
    )


@st.composite
def chains(draw: st.DrawFn) -> Chain:
    return Chain(
        index=draw(st.text(max_size=12)),
        event_time=draw(INSTANTS),
        receive_time=draw(INSTANTS),
        spot_inr=draw(NUMBERS),
        expiries=tuple(draw(st.lists(expiries(), max_size=2))),
        source=draw(st.sampled_from(["replay", "synthetic"])),
        quality=QualityFlag(draw(st.integers(0, 255))),
        completeness=draw(st.none() | st.builds(Completeness, *(st.integers(0, 9) for _ in range(3)), st.floats(0, 1))),
    )


def bits(values: Floats | float) -> bytes:
    return np.asarray(values, dtype=np.float64).tobytes()


@settings(max_examples=60)
@given(chains(), st.integers(1, 2**62), st.integers(1, 2**62))
def test_a_chain_comes_back_from_its_bytes_to_the_last_bit(chain: Chain, epoch: int, sequence: int) -> None:
    payload = encode_chain(chain, Position(epoch, sequence)).SerializeToString()
    message = chain_pb2.ChainSnapshot.FromString(payload)
    back = decode_chain(message)
    assert position_of(message) == (epoch, sequence)
    assert (back.index, back.source) == (chain.index, chain.source)
    assert (back.event_time, back.receive_time) == (chain.event_time, chain.receive_time)
    assert bits(back.spot_inr) == bits(chain.spot_inr)
    assert len(back.expiries) == len(chain.expiries)
    for ours, theirs in zip(chain.expiries, back.expiries, strict=True):
        assert (theirs.expiry, theirs.lot_size, theirs.buckets) == (ours.expiry, ours.lot_size, ours.buckets)
        assert bits(theirs.strike_inr) == bits(ours.strike_inr)
        assert theirs.atm_offset.tolist() == ours.atm_offset.tolist()
        for side in ("call", "put"):
            before, after = getattr(ours, side).columns(), getattr(theirs, side).columns()
            assert [bits(values) for values in after] == [bits(values) for values in before]
            assert getattr(theirs, side).quality.tolist() == getattr(ours, side).quality.tolist()
    assert (back.quality, back.completeness) == (chain.quality, chain.completeness)


def test_legs_without_flags_take_no_bytes_for_them() -> None:
    message = encode_chain(small_chain(), Position(1, 1))
    assert not message.expiries[0].call.quality
    assert decode_chain(message).expiries[0].call.quality.tolist() == [0, 0, 0]


def test_flags_of_another_number_of_legs_are_refused() -> None:
    message = encode_chain(small_chain(), Position(1, 1))
    message.expiries[0].call.quality.extend([1, 0])
    with pytest.raises(ValueError, match="rows for 3 strikes"):
        decode_chain(message)


@given(INSTANTS)
def test_microseconds_are_kept_exactly_on_both_sides_of_1970(instant: datetime) -> None:
    assert from_micros(to_micros(instant)) == instant
    message = to_timestamp(instant)
    assert from_timestamp(message) == instant
    assert 0 <= message.nanos < 1_000_000_000
    assert message.ToMicroseconds() == to_micros(instant)


def test_other_time_zones_name_the_same_instant() -> None:
    ist = timezone(timedelta(hours=5, minutes=30))
    assert to_micros(datetime(2026, 8, 18, 15, 30, tzinfo=ist)) == to_micros(datetime(2026, 8, 18, 10, 0, tzinfo=UTC))


def test_a_missing_value_is_nan_on_the_wire_and_never_zero() -> None:
    message = encode_chain(small_chain(), Position(1, 1))
    message.expiries[0].call.last_inr[0] = math.nan
    again = chain_pb2.ChainSnapshot.FromString(message.SerializeToString())
    assert math.isnan(again.expiries[0].call.last_inr[0])
    assert math.isnan(decode_chain(again).expiries[0].call.last_inr[0])


@pytest.mark.parametrize("name", [*LEG_COLUMNS, "atm_offset"])
def test_a_column_of_another_length_is_refused(name: str) -> None:
    message = encode_chain(small_chain(), Position(1, 1))
    part = message.expiries[1] if name == "atm_offset" else message.expiries[1].put
    getattr(part, name).pop()
    with pytest.raises(ValueError, match="2026-08-25"):
        decode_chain(message)


def test_an_expiry_that_is_no_day_is_refused() -> None:
    message = encode_chain(small_chain(), Position(1, 1))
    message.expiries[0].expiry = "soon"
    with pytest.raises(ValueError, match="soon"):
        decode_chain(message)
