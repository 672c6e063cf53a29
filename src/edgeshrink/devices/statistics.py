"""Percentiles, intervals and tests of what was measured."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from itertools import pairwise

NORMAL_95 = 1.959963984540054
BATCHES, LEAST = 20, 5  # of samples, and the fewest in one


def percentile(samples: Sequence[float], share: float) -> float:
    """Return the `share`-th percentile (0..100), interpolated between neighbours.

    Example:
        >>> percentile([4, 1, 3, 2], 50)
        2.5
    """
    if not samples:
        raise ValueError("a percentile needs at least one sample")
    ordered = sorted(samples)
    place = (len(ordered) - 1) * share / 100
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def median_error(samples: Sequence[float]) -> float | None:
    """Return the standard error of the median of samples in the order of time.

    By batches, as batch means do it for a mean: the medians of up to 20 stretches of time are
    compared, so that drifts and disturbances that last count, and single outliers do not.

    Returns:
        None for fewer than 10 samples.

    Example:
        >>> median_error([1, 2, 3, 4, 5, 3, 4, 5, 6, 7])
        1.0
    """
    count = min(BATCHES, len(samples) // LEAST)
    if count < 2:
        return None
    ends = [len(samples) * place // count for place in range(count + 1)]
    batches = (samples[start:end] for start, end in pairwise(ends))
    medians = [statistics.median(batch) for batch in batches]
    return statistics.stdev(medians) / math.sqrt(count)


def wilson(successes: int, count: int) -> tuple[float, float]:
    """Return the 95 % interval of a proportion (Wilson 1927), within 0..1.

    Example:
        >>> low, high = wilson(90, 100)
        >>> round(low, 3), round(high, 3)
        (0.826, 0.945)
    """
    if count <= 0:
        return 0.0, 1.0
    share, z2 = successes / count, NORMAL_95**2
    centre = (share + z2 / (2 * count)) / (1 + z2 / count)
    spread = math.sqrt(share * (1 - share) / count + z2 / (4 * count**2))
    half = NORMAL_95 * spread / (1 + z2 / count)
    return max(0.0, centre - half), min(1.0, centre + half)


def mcnemar(lost: int, gained: int) -> float:
    """Return the exact two-sided p-value that two paired classifiers err equally often.

    The binomial form of McNemar's test (1947) on the discordant pairs.

    Args:
        lost: samples that only the first classifier got right.
        gained: samples that only the second got right.

    Example:
        >>> round(mcnemar(10, 1), 4)
        0.0117
    """
    count, fewest = lost + gained, min(lost, gained)
    if count == 0:
        return 1.0
    log_half = count * math.log(0.5)
    tail = sum(
        math.exp(
            math.lgamma(count + 1) - math.lgamma(k + 1) - math.lgamma(count - k + 1) + log_half
        )
        for k in range(fewest + 1)
    )
    return min(1.0, 2 * tail)
