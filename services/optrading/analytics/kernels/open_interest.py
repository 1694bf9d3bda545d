"""Put-call ratios: what is held, or traded, in puts for each unit in calls."""

import math

from .arrays import Floats, sum_of_known


def put_call_ratio(put_units: Floats, call_units: Floats) -> float:
    """Divide the total of the puts by the total of the calls; for open interest and for volume alike.

    Args:
        put_units: Open interest or volume of each put, units or contracts, >= 0; NaN is missing and is skipped.
        call_units: The same for the calls, in the same unit; the lengths may differ.

    Returns:
        The ratio, >= 0; NaN when the calls' total is zero or when nothing is known of a side.
    """
    calls = sum_of_known(call_units)
    return sum_of_known(put_units) / calls if calls > 0 else math.nan
