"""Array types and column checks that all kernels share."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Codes = NDArray[np.int8]

# float or anything that broadcasts: one number per leg, or one for all of them
FloatLike = float | Floats
BoolLike = bool | Bools


def columns_of_equal_length(**columns: ArrayLike) -> tuple[Floats, ...]:
    """Read columns as one-dimensional float arrays of one length.

    Args:
        columns: Name to values. Integers become floats; NaN means missing.

    Returns:
        The columns as float64, in the order given, each of shape (N,). A column that is one already is not copied.

    Raises:
        ValueError: a column is not one-dimensional, or its length differs from the first one's.
    """
    arrays = tuple(np.asarray(column, dtype=np.float64) for column in columns.values())
    for name, array in zip(columns, arrays, strict=True):
        if array.ndim != 1 or array.size != arrays[0].size:
            expected = f"({arrays[0].size},)" if arrays[0].ndim == 1 else "(N,)"
            raise ValueError(f"column {name} has shape {array.shape}, expected {expected}")
    return arrays


def sum_of_known(values: Floats) -> float:
    """Add what is known.

    Args:
        values: Shape (N,); NaN is missing and is skipped.

    Returns:
        The sum of the values that are not NaN, in their unit; NaN when there is none.
    """
    known = values[~np.isnan(values)]
    return float(known.sum()) if known.size else float("nan")
