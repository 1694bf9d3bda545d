"""Chains straight to bytes: the same ones as by a message, without the lists of Python numbers in between.

A packed column of doubles is a tag, a length and the numbers as the processor of every machine we run on has them.
Source: Protocol Buffers encoding guide, "Packed Repeated Fields".
"""

from __future__ import annotations

from functools import lru_cache

from optrading.common.wire import field_head, message_field
from optrading.market.chain import LEG_COLUMNS, Chain, ExpiryChain, Legs, Position
from optrading.market.codec import encode_completeness, to_timestamp
from optrading.market.v1 import chain_pb2

_LITTLE_ENDIAN_DOUBLE = "<f8"
_DOUBLE_BYTES = 8
_EXPIRIES = chain_pb2.ChainSnapshot.EXPIRIES_FIELD_NUMBER
_CALL, _PUT = chain_pb2.ExpiryChain.CALL_FIELD_NUMBER, chain_pb2.ExpiryChain.PUT_FIELD_NUMBER
_COLUMNS = tuple(chain_pb2.LegColumns.DESCRIPTOR.fields_by_name[name].number for name in LEG_COLUMNS)


def serialize_chain(chain: Chain, position: Position) -> bytes:
    """Return the bytes of the message that `encode_chain` makes, in a half to a third of the time."""
    before = chain_pb2.ChainSnapshot(
        index=chain.index,
        epoch=position.epoch,
        sequence=position.sequence,
        event_time=to_timestamp(chain.event_time),
        receive_time=to_timestamp(chain.receive_time),
        spot_inr=chain.spot_inr,
    )
    after = chain_pb2.ChainSnapshot(
        source=chain.source, quality=chain.quality, completeness=encode_completeness(chain.completeness)
    )
    expiries = (message_field(_EXPIRIES, _expiry(expiry)) for expiry in chain.expiries)
    return b"".join((before.SerializeToString(), *expiries, after.SerializeToString()))


def _expiry(expiry: ExpiryChain) -> bytes:
    listed = chain_pb2.ExpiryChain(
        expiry=expiry.expiry.isoformat(),
        buckets=expiry.buckets,
        lot_size=expiry.lot_size,
        strike_inr=expiry.strike_inr.tolist(),
        atm_offset=expiry.atm_offset.tolist(),
    )
    legs = (message_field(_CALL, _legs(expiry.call)), message_field(_PUT, _legs(expiry.put)))
    return b"".join((listed.SerializeToString(), *legs))


def _legs(legs: Legs) -> bytes:
    parts: list[bytes] = []
    if len(legs.last_inr):
        for head, values in zip(_heads(len(legs.last_inr)), legs.columns(), strict=True):
            parts += (head, values.astype(_LITTLE_ENDIAN_DOUBLE, copy=False).tobytes())
    if legs.quality.any():
        parts.append(chain_pb2.LegColumns(quality=legs.quality.tolist()).SerializeToString())
    return b"".join(parts)


@lru_cache(maxsize=512)  # ladders have a few hundred strikes at most
def _heads(size: int) -> tuple[bytes, ...]:
    """Return tag and length of each column of so many numbers."""
    return tuple(field_head(number, _DOUBLE_BYTES * size) for number in _COLUMNS)
