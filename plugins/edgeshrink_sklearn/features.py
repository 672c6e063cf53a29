"""What 8 bits leave of features that are given in different units."""

from __future__ import annotations

import numpy as np

from edgeshrink.api import Dataset

STEPS = 255  # that 8 bits part a range into
LOOKED_AT = 10_000  # samples, at most


def coarse_features(data: Dataset) -> tuple[float, int, int]:
    """Return the step to which 8 bits round all features, and how many vary by less, of how many.

    Args:
        data: with training samples of one input.
    """
    assert data.train is not None
    rows = np.arange(len(data.train))[:LOOKED_AT]
    values = next(iter(data.values(data.train, rows).values())).reshape(len(rows), -1)
    ranges, step = np.ptp(values, axis=0), float(np.ptp(values)) / STEPS
    return step, int(((ranges > 0) & (ranges < step)).sum()), len(ranges)
