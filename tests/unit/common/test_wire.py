from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optrading.collection.snapshot import Snapshot
from optrading.collection.v1 import collection_service_pb2 as pb
from optrading.common.journal import Record
from optrading.common.wire import int_field, message_field
from optrading.market.chain import Position
from optrading.market.v1 import chain_pb2
from tests.chains import small_message


@given(st.integers(0, 2**63 - 1))
def test_an_integer_field_is_what_protobuf_writes(value: int) -> None:
    assert int_field(3, value) == pb.WatchChainsResponse(skipped_count=value).SerializeToString()


@given(st.text(min_size=1, max_size=300))
def test_a_text_field_is_what_protobuf_writes(text: str) -> None:
    assert message_field(4, text.encode()) == pb.WatchChainsResponse(traceparent=text).SerializeToString()


@given(st.integers(1, 2**29 - 1), st.integers(1, 2**62))
def test_large_field_numbers_are_framed_too(number: int, value: int) -> None:
    data = int_field(number, value)
    # A message without fields keeps what it does not know, byte for byte.
    assert pb.AcknowledgeChainsResponse.FromString(data).SerializeToString() == data


@given(st.integers(1, 2**62), st.integers(1, 2**62), st.integers(0, 10**6), st.text(max_size=60))
def test_ready_bytes_are_the_answer_that_protobuf_would_have_made(
    epoch: int, sequence: int, skipped: int, traceparent: str
) -> None:
    message = chain_pb2.ChainSnapshot(index="NIFTY", epoch=epoch, sequence=sequence)
    snapshot = Snapshot(
        Record("NIFTY", Position(epoch, sequence), 0, 0, 0, traceparent, payload=message.SerializeToString())
    )
    expected = pb.WatchChainsResponse(chain=message, skipped_count=skipped, traceparent=traceparent)
    assert snapshot.watch_chains_response(None, skipped) == expected.SerializeToString()
    assert snapshot.get_chain_response(None) == pb.GetChainResponse(chain=message).SerializeToString()


@pytest.mark.parametrize("expiry", ["2026-08-18", "2026-08-25", "none"])
def test_a_chain_cut_to_one_expiry_has_nothing_else_and_loses_nothing(expiry: str) -> None:
    message = small_message(Position(7, 3))
    snapshot = Snapshot(Record("NIFTY", Position(7, 3), 0, 0, 12, "", message.SerializeToString()))
    cut = pb.GetChainResponse.FromString(snapshot.get_chain_response(expiry)).chain
    wanted = [each for each in message.expiries if each.expiry == expiry]
    assert list(cut.expiries) == wanted
    message.ClearField("expiries")
    cut.ClearField("expiries")
    assert cut == message
    assert pb.GetChainResponse.FromString(snapshot.get_chain_response(None)).chain.SerializeToString() == (
        snapshot.record.payload
    )
