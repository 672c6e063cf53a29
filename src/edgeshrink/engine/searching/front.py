"""What is best where several things count: the Pareto front, and the volume that it covers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def on_front(values: Array) -> Array:
    """Return which points no other one is better than: at least as good in all, and better in one.

    Args:
        values: `(points, goals)`, greater being better.

    Returns:
        `(points,)` of booleans; of points that are the same, all or none.
    """
    at_least: Array = np.all(values[None] >= values[:, None], axis=-1)
    better: Array = np.any(values[None] > values[:, None], axis=-1)
    found: Array = ~np.any(at_least & better, axis=1)
    return found


def hypervolume(values: Array, reference: Sequence[float] | Array) -> float:
    """Return the volume between a reference and what points reach (Zitzler and Thiele, 1998).

    By slicing: between two values of the first goal, the volume of the others is that of the points
    which reach the greater one.

    Args:
        values: `(points, goals)`, greater being better.
        reference: `(goals,)`; what does not exceed it in every goal counts for nothing.
    """
    above = np.maximum(np.asarray(values, float) - np.asarray(reference, float), 0)
    above = above[(above > 0).all(1)]
    if not len(above):
        return 0.0
    above = np.unique(above[on_front(above)], axis=0)
    if above.shape[1] == 1:
        return float(above.max())
    volume, least = 0.0, 0.0
    for height in np.unique(above[:, 0]):
        volume += (height - least) * hypervolume(
            above[above[:, 0] >= height, 1:], np.zeros(above.shape[1] - 1)
        )
        least = height
    return volume


def knee(values: Array) -> int:
    """Return the point of a front beyond which a little more of one goal costs much of others.

    It is the one that is farthest from the plane through the best of each goal (Das, 1999), each
    goal over its range on the front; of one point, that point.

    Args:
        values: `(points, goals)`, greater being better, all on the front.
    """
    low, high = values.min(0), values.max(0)
    scaled = (values - low) / np.where(high > low, high - low, 1)
    return int(scaled.sum(1).argmax())
