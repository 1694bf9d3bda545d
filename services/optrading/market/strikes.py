"""Strikes relative to the money: offsets walk the strikes that are listed, whatever their distance."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from optrading.market.chain import Floats, Ints

ALL_OFFSETS = None
"""In place of a set of offsets: keep every listed strike."""

_MOST_STEPS = 1_000
"""No ladder has more strikes on one side; a range beyond it is a slip of the pen."""


def atm_row(strike_inr: Floats, spot_inr: float) -> int:
    """Return the row of the strike nearest to `spot_inr`; of two equally near, the lower.

    Args:
        strike_inr: Listed strikes, ascending, shape (N,), N >= 1.
        spot_inr: Value of the index, rupees; NaN takes the middle strike, so that offsets stay defined.
    """
    if math.isnan(spot_inr):
        return (len(strike_inr) - 1) // 2
    return int(np.argmin(np.abs(strike_inr - spot_inr)))


def atm_offsets(strike_inr: Floats, spot_inr: float) -> Ints:
    """Return each strike's steps along the listed ladder from the one nearest to spot, shape (N,)."""
    if not len(strike_inr):
        return np.zeros(0, dtype=np.int32)
    return np.arange(len(strike_inr), dtype=np.int32) - np.int32(atm_row(strike_inr, spot_inr))


def parse_offsets(text: str) -> frozenset[int] | None:
    """Read a setting such as `-2,-1,0,1,2`, `-5..5` or `all`.

    Returns:
        The offsets, or `ALL_OFFSETS`.

    Raises:
        ValueError: The text is none of these.
    """
    if text.strip().lower() == "all":
        return ALL_OFFSETS
    try:
        offsets = frozenset(_expand(part.strip() for part in text.split(",")))
    except ValueError:
        offsets = frozenset()
    if not offsets:
        raise ValueError(f"{text!r} is not a list of offsets such as -2,-1,0,1,2 nor a range such as -5..5 nor all")
    return offsets


def _expand(parts: Iterable[str]) -> Iterable[int]:
    for part in parts:
        first, dots, last = part.partition("..")
        low, high = int(first), int(last if dots else first)
        if not -_MOST_STEPS <= low <= high <= _MOST_STEPS:
            raise ValueError
        yield from range(low, high + 1)
