"""From what a feed has to what is wanted: strikes around the money, and the buckets of each expiry."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from optrading.market.buckets import buckets_of
from optrading.market.chain import Chain, ExpiryChain
from optrading.market.clock import trading_date
from optrading.market.strikes import atm_offsets


def shape_chain(chain: Chain, offsets: frozenset[int] | None) -> Chain:
    """Return `chain` with its wanted strikes, their offsets along the listed ladder, and its buckets.

    Args:
        chain: Everything the feed lists.
        offsets: Strike offsets to keep; None keeps all.
    """
    day = trading_date(chain.event_time)
    buckets = buckets_of([expiry.expiry for expiry in chain.expiries], day)
    return replace(
        chain,
        expiries=tuple(
            _shape_expiry(expiry, chain.spot_inr, offsets, buckets[expiry.expiry]) for expiry in chain.expiries
        ),
    )


def _shape_expiry(
    expiry: ExpiryChain, spot_inr: float, offsets: frozenset[int] | None, buckets: tuple[str, ...]
) -> ExpiryChain:
    steps = atm_offsets(expiry.strike_inr, spot_inr)
    shaped = replace(expiry, atm_offset=steps, buckets=buckets)
    return shaped if offsets is None else shaped.take(np.isin(steps, sorted(offsets)))
