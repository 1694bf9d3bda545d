"""What a chain must fulfil to be stored as a chain: it can be decoded, and agrees with the contract on order."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from optrading.market.chain import Chain
from optrading.market.codec import decode_chain
from optrading.market.v1 import chain_pb2


class UnacceptableChainError(ValueError):
    """The chain contradicts itself or the contract."""


def accept_chain(message: chain_pb2.ChainSnapshot, index: str) -> Chain:
    """Return the chain of `message`.

    Raises:
        UnacceptableChainError: It is of another index than `index`, lacks its times, cannot be decoded, or its
            expiries or strikes are not strictly ascending.
    """
    if message.index != index:
        raise UnacceptableChainError(f"a chain of {message.index!r} came in the stream of {index}")
    if not message.HasField("event_time") or not message.HasField("receive_time"):
        raise UnacceptableChainError("the chain lacks its event time or its receive time")
    try:
        chain = decode_chain(message)
    except (ValueError, OverflowError) as error:
        raise UnacceptableChainError(str(error)) from error
    if any(later.expiry <= earlier.expiry for earlier, later in pairwise(chain.expiries)):
        raise UnacceptableChainError("the expiries are not strictly ascending")
    for expiry in chain.expiries:
        strikes = expiry.strike_inr
        # Written so that NaN fails too.
        if not (np.isfinite(strikes).all() and (strikes > 0).all() and (np.diff(strikes) > 0).all()):
            raise UnacceptableChainError(f"the strikes of {expiry.expiry} are not positive and strictly ascending")
    return chain
