"""What can be suspicious of a leg or of a chain: flags, kept as bits in a column beside the numbers they are about."""

from __future__ import annotations

from enum import IntFlag

import numpy as np
from numpy.typing import NDArray

Flags = NDArray[np.uint16]
"""A sum of `QualityFlag` values per leg, shape (N,)."""


class QualityFlag(IntFlag):
    """What is suspicious; the numbers are those of the contract's `QualityFlag`."""

    STALE = 1
    """Nothing was heard of it for long while its market was open. On a chain: of its spot, or of every leg."""
    CROSSED_QUOTE = 2
    """The best bid is above the best ask."""
    DECREASING_VOLUME = 4
    """Volume of the day is less than it was earlier that day."""
    OPEN_INTEREST_JUMP = 8
    """Open interest changed by more since the last chain than trades can explain."""
    PRICE_OUTSIDE_LIMITS = 16
    """A price is outside of what the exchange or the absence of arbitrage allows."""
    INCOMPLETE = 32
    """On a chain: wanted legs are missing. On a leg: it is listed and nothing is known of it."""
    BACKFILLED = 64
    """Made from the feed's history after the fact. On a chain only."""
    MARKET_CLOSED = 128
    """The market was closed at this instant. On a chain only."""


UNSUSPICIOUS = QualityFlag(0)
"""No flag at all."""


def no_flags(size: int) -> Flags:
    """Return flags of `size` legs of which nothing is suspicious; read-only."""
    flags = np.zeros(size, dtype=np.uint16)
    flags.setflags(write=False)
    return flags
