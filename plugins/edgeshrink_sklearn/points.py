"""Points around samples, for a model to answer."""

from __future__ import annotations

import numpy as np
from sklearn.neighbors import NearestNeighbors

ALTOGETHER, MOST = 50_000, 1000  # points, and around each sample at most, where nothing is said
SEARCHED = 20_000  # samples among which neighbours are looked for, at most
NEIGHBOURS = 5
SWAPPED = 0.5  # share of features that come from the neighbour
FEW = 10  # values of a feature that is one of several kinds, and lies between no two of them


def how_many(asked: int | None, samples: int) -> int:
    """Return how many points around each sample there are to be.

    Args:
        asked: what the user says, or None.
        samples: that there are.
    """
    return min(MOST, ALTOGETHER // samples) if asked is None else asked


def around(samples: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Return points that are like samples: each has some features of one near it.

    Half of a sample's features, drawn anew for each point, become those of one of its five nearest
    neighbours: a feature of few values takes the neighbour's, others are drawn around it, with the
    distance of the two as standard deviation. That is MUNGE of Bucila, Caruana and
    Niculescu-Mizil, KDD 2006, "Model compression", algorithm 1, with p = 0.5 and s = 1, and several
    neighbours in place of one. Distances are between features of mean 0 and variance 1.

    Args:
        samples: `(samples, features)`, two or more; of more than 20,000, as many are drawn.
        count: of points for each sample.
        seed: of everything random.

    Returns:
        `(points, features)` of the same type; whole numbers stay whole.
    """
    rng = np.random.default_rng(seed)
    chosen = samples[rng.permutation(len(samples))[:SEARCHED]]
    x = chosen.astype(np.float64)
    if count == 0 or len(x) < 2:
        return samples[:0]
    spread = x.std(axis=0)
    z = x / np.where(spread > 0, spread, 1)
    near = min(NEIGHBOURS, len(x) - 1)
    found = NearestNeighbors(n_neighbors=near + 1).fit(z).kneighbors(z, return_distance=False)
    of_kinds = np.array([len(np.unique(column)) <= FEW for column in x.T])
    made = []
    for _ in range(count):
        place = rng.integers(1, near + 1, len(x))  # the first is the sample itself
        other = x[found[np.arange(len(x)), place]]
        drawn = np.where(of_kinds, other, rng.normal(other, np.abs(other - x)))
        made.append(np.where(rng.random(x.shape) < SWAPPED, drawn, x))
    points = np.concatenate(made)
    if samples.dtype.kind in "iu":
        ends = np.iinfo(samples.dtype)
        points = np.clip(np.rint(points), ends.min, ends.max)
    return points.astype(samples.dtype)
