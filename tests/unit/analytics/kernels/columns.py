"""Columns of one side as the tests write them."""

import math
from dataclasses import dataclass

import numpy as np

from optrading.analytics.kernels.arrays import Floats


@dataclass(frozen=True)
class Side:
    """Calls or puts; fits `LegColumns`."""

    last_inr: Floats
    bid_inr: Floats
    ask_inr: Floats
    volume_units: Floats
    open_interest_units: Floats


def side(size: int, **known: Floats) -> Side:
    """Make a side of which only the columns given are known."""
    names = Side.__dataclass_fields__
    return Side(**{name: known.get(name, np.full(size, math.nan)) for name in names})
