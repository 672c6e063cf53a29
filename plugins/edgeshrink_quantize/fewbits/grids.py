"""Grids of few bits: equally spaced values, symmetric around zero, with one step a channel."""

from __future__ import annotations

import numpy as np

# The greatest code of each width; codes are symmetric. -8 of 4 bits is left out, since LiteRT's
# own kernel of FULLY_CONNECTED (2.3, without XNNPACK) answers wrongly where weights have it.
LARGEST = {2: 1, 4: 7}
# How far from its grid a 32-bit float may lie, in shares of the channel's greatest magnitude.
FLOAT_ERROR = 1e-6


def steps(columns: np.ndarray, bits: int, beside: np.ndarray | None = None) -> np.ndarray:
    """Return the step of the grid on which each column lies already.

    A column is on a grid of `bits` if all its values are multiples of its greatest magnitude
    divided by one of 1..`LARGEST[bits]`; the finest such grid is taken, and no value need be
    next to zero: multiples 3 and 5 of a step are found as well as 1 and 2.

    Args:
        columns: values, `(weights, channels)`.
        bits: 2 or 4.
        beside: how far each channel's values may lie beside the grid; by default what rounding
            to 32-bit floats explains.

    Returns:
        One step for each channel, NaN where the values lie on no such grid; 1 where all are 0.

    Example:
        >>> steps(np.array([[0.5, 0.3], [-0.3, 0.1], [0.0, 0.2718]]), 4)
        array([0.1, nan])
    """
    values = columns.astype("float64")
    largest = np.abs(values).max(axis=0, initial=0.0)
    beside = FLOAT_ERROR * largest if beside is None else beside
    found = np.where(largest == 0, 1.0, np.nan)
    for divisor in range(LARGEST[bits], 0, -1):
        step = np.where(largest == 0, 1.0, largest) / divisor
        apart = np.abs(values - np.round(values / step) * step).max(axis=0, initial=0.0)
        found = np.where(np.isnan(found) & (apart <= beside), step, found)
    return found


def codes(columns: np.ndarray, step: np.ndarray, bits: int) -> np.ndarray:
    """Return the nearest codes, int8, of values `(weights, channels)` on grids of these steps."""
    largest = LARGEST[bits]
    return np.clip(np.round(columns / step), -largest, largest).astype("int8")
