"""What 8 bits leave of features that are given in different units."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from edgeshrink.api import Dataset

STEPS = 255  # that 8 bits part a range into
LOOKED_AT = 10_000  # samples, at most


def coarse_features(data: Dataset) -> Iterator[str]:
    """Yield a sentence where features vary by less than a step of 8 bits, which all share.

    Args:
        data: with training samples.
    """
    assert data.train is not None
    rows = np.arange(len(data.train))[:LOOKED_AT]
    for values in data.values(data.train, rows).values():
        flat = values.reshape(len(values), -1)
        ranges = np.ptp(flat, axis=0)
        step = np.ptp(flat) / STEPS
        lost = int(((ranges > 0) & (ranges < step)).sum())
        if lost:
            yield (
                f"8 bits round all features to steps of {step:.3g}, and {lost} of {len(ranges)} "
                "vary by less: fit the model on features of one size, or take --dynamic, which "
                "leaves them in float"
            )
