"""Chains to and from the contract's messages, whole columns at a time."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
from google.protobuf.timestamp_pb2 import Timestamp

from optrading.market.chain import LEG_COLUMNS, Chain, Completeness, ExpiryChain, Legs, Position, column
from optrading.market.quality import QualityFlag, no_flags
from optrading.market.v1 import chain_pb2

_UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_micros(instant: datetime) -> int:
    """Return microseconds since 1970-01-01 UTC; exact."""
    return (instant - _UNIX_EPOCH) // _MICROSECOND


def from_micros(micros: int) -> datetime:
    """Return the UTC instant of `micros` since 1970-01-01 UTC; exact."""
    return _UNIX_EPOCH + timedelta(microseconds=micros)


def to_timestamp(instant: datetime) -> Timestamp:
    """Return `instant` as a message; microseconds are kept exactly."""
    seconds, micros = divmod(to_micros(instant), 1_000_000)
    return Timestamp(seconds=seconds, nanos=micros * 1000)


def from_timestamp(message: Timestamp) -> datetime:
    """Return the message as a UTC instant, to the microsecond."""
    return from_micros(message.seconds * 1_000_000 + message.nanos // 1000)


def encode_chain(chain: Chain, position: Position) -> chain_pb2.ChainSnapshot:
    """Return the message of `chain` at `position`."""
    return chain_pb2.ChainSnapshot(
        index=chain.index,
        epoch=position.epoch,
        sequence=position.sequence,
        event_time=to_timestamp(chain.event_time),
        receive_time=to_timestamp(chain.receive_time),
        spot_inr=chain.spot_inr,
        expiries=[_encode_expiry(expiry) for expiry in chain.expiries],
        source=chain.source,
        quality=chain.quality,
        completeness=encode_completeness(chain.completeness),
    )


def encode_completeness(completeness: Completeness | None) -> chain_pb2.Completeness | None:
    """Return the message of `completeness`, where there is one."""
    if completeness is None:
        return None
    return chain_pb2.Completeness(
        wanted_leg_count=completeness.wanted_leg_count,
        known_leg_count=completeness.known_leg_count,
        flagged_leg_count=completeness.flagged_leg_count,
        ratio=completeness.ratio,
        open_gap_count=completeness.open_gap_count,
    )


def decode_chain(message: chain_pb2.ChainSnapshot) -> Chain:
    """Return the chain of `message`.

    Raises:
        ValueError: An expiry is no date, or its columns differ in length.
    """
    return Chain(
        index=message.index,
        event_time=from_timestamp(message.event_time),
        receive_time=from_timestamp(message.receive_time),
        spot_inr=message.spot_inr,
        expiries=tuple(_decode_expiry(expiry) for expiry in message.expiries),
        source=message.source,
        quality=QualityFlag(message.quality),
        completeness=_decode_completeness(message),
    )


def _decode_completeness(message: chain_pb2.ChainSnapshot) -> Completeness | None:
    if not message.HasField("completeness"):
        return None
    found = message.completeness
    return Completeness(
        found.wanted_leg_count, found.known_leg_count, found.flagged_leg_count, found.ratio, found.open_gap_count
    )


def position_of(message: chain_pb2.ChainSnapshot) -> Position:
    """Return the position the message carries."""
    return Position(message.epoch, message.sequence)


def _encode_expiry(chain: ExpiryChain) -> chain_pb2.ExpiryChain:
    return chain_pb2.ExpiryChain(
        expiry=chain.expiry.isoformat(),
        buckets=chain.buckets,
        lot_size=chain.lot_size,
        strike_inr=chain.strike_inr.tolist(),
        atm_offset=chain.atm_offset.tolist(),
        call=_encode_legs(chain.call),
        put=_encode_legs(chain.put),
    )


def _encode_legs(legs: Legs) -> chain_pb2.LegColumns:
    # Lists of Python floats: protobuf takes them several times faster than numpy scalars.
    return chain_pb2.LegColumns(
        **{name: values.tolist() for name, values in zip(LEG_COLUMNS, legs.columns(), strict=True)},
        quality=legs.quality.tolist() if legs.quality.any() else (),
    )


def _decode_expiry(message: chain_pb2.ExpiryChain) -> ExpiryChain:
    strike_inr = column(message.strike_inr)
    chain = ExpiryChain(
        expiry=date.fromisoformat(message.expiry),
        lot_size=message.lot_size,
        strike_inr=strike_inr,
        call=_decode_legs(message.call),
        put=_decode_legs(message.put),
        atm_offset=np.array(message.atm_offset, dtype=np.int32),
        buckets=tuple(message.buckets),
    )
    lengths = {len(values) for legs in (chain.call, chain.put) for values in legs.columns()}
    lengths |= {len(chain.call.quality), len(chain.put.quality)}
    if lengths | {len(chain.atm_offset)} != {len(strike_inr)}:
        raise ValueError(f"the columns of {message.expiry} have {sorted(lengths)} rows for {len(strike_inr)} strikes")
    return chain


def _decode_legs(message: chain_pb2.LegColumns) -> Legs:
    columns = [column(getattr(message, name)) for name in LEG_COLUMNS]
    # Without any flag the column is left out.
    quality = np.array(message.quality, dtype=np.uint16) if message.quality else no_flags(len(columns[0]))
    return Legs(*columns, quality=quality)
