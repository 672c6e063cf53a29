"""K-means of numbers: exact steps on sorted values, however many there are."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

TURNS = 200  # Lloyd's steps at most; on a line few are needed


def kmeans(values: np.ndarray, count: int, init: str, rng: np.random.Generator) -> np.ndarray:
    """Return each value's centroid: at most `count` distinct ones, near the least squared error.

    Lloyd's algorithm on a line: a cluster is a stretch of the sorted values, between the middles
    of neighbouring centroids, and its mean comes from sums over all values before each.

    Args:
        values: a vector.
        count: of centroids, at least 1.
        init: `linear`, `density`, `kmeans++` or `random`; Han et al., ICLR 2016 ("Deep
            compression", section 3.2), found the first the best, since it keeps the few large
            weights.
        rng: for `kmeans++` and `random`.

    Example:
        >>> kmeans(np.array([0.9, -1.0, 1.1]), 2, "linear", np.random.default_rng(0))
        array([ 1., -1.,  1.])
    """
    ordered = np.sort(values.astype("float64"))
    sums = np.concatenate([[0.0], np.cumsum(ordered)])
    centroids = np.sort(STARTS[init](ordered, count, rng))
    for _ in range(TURNS):
        ends = np.searchsorted(ordered, (centroids[1:] + centroids[:-1]) / 2, side="right")
        bounds = np.concatenate([[0], ends, [len(ordered)]])
        sizes = np.diff(bounds)
        means = np.diff(sums[bounds]) / np.maximum(sizes, 1)
        moved = np.where(sizes > 0, means, centroids)
        if not sizes.all():  # those without members go to what is worst off
            apart = np.abs(ordered - np.repeat(means, sizes))
            moved[sizes == 0] = _far(ordered, apart, int((sizes == 0).sum()), moved[sizes == 0])
            moved.sort()
        if (moved == centroids).all():
            break
        centroids = moved
    nearest = np.searchsorted((centroids[1:] + centroids[:-1]) / 2, values, side="left")
    return centroids[nearest].astype(values.dtype)


def _far(ordered: np.ndarray, apart: np.ndarray, count: int, else_: np.ndarray) -> np.ndarray:
    """Return the values farthest from their centroids, each another one; `else_` where none is."""
    distinct, first = np.unique(ordered, return_index=True)
    farthest = np.argsort(-apart[first], kind="stable")[:count]
    found = else_.copy()
    able = farthest[apart[first][farthest] > 0]
    found[: len(able)] = distinct[able]
    return found


def _linear(ordered: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    return np.linspace(ordered[0], ordered[-1], count)


def _density(ordered: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Return the middles of stretches with as many values each."""
    return np.quantile(ordered, (np.arange(count) + 0.5) / count)


def _random(ordered: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Return some of the values (Forgy)."""
    return rng.choice(ordered, count, replace=len(ordered) < count)


def _kmeans_plus_plus(ordered: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Return values, each chosen with the square of its distance to those before it.

    Arthur and Vassilvitskii, SODA 2007, section 2.2.
    """
    chosen = [rng.choice(ordered)]
    distances = np.square(ordered - chosen[0])
    while len(chosen) < count and distances.any():
        chosen.append(rng.choice(ordered, p=distances / distances.sum()))
        distances = np.minimum(distances, np.square(ordered - chosen[-1]))
    return np.array(chosen)


STARTS: dict[str, Callable[[np.ndarray, int, np.random.Generator], np.ndarray]] = {
    "linear": _linear,
    "density": _density,
    "kmeans++": _kmeans_plus_plus,
    "random": _random,
}
