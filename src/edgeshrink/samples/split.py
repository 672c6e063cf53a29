"""Splits of samples into disjoint parts, chosen by a seed and stratified by class."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from edgeshrink.samples.subset import Subset, is_one_hot, task_of

if TYPE_CHECKING:
    import numpy as np


def split_rows(
    rows: np.ndarray[Any, Any],
    count: int,
    seed: int,
    strata: np.ndarray[Any, Any] | None = None,
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Split rows into `count` chosen by a seed and the rest, each in its old order.

    Args:
        rows: row numbers.
        count: how many to choose, at most all.
        seed: gives the choice.
        strata: a class for each row; every class is then chosen from in proportion.
    """
    import numpy as np

    rng = np.random.default_rng(seed)
    groups = [np.arange(len(rows))]
    if strata is not None:
        groups = [np.flatnonzero(strata == value) for value in np.unique(strata)]
    exact = [count * len(group) / max(len(rows), 1) for group in groups]
    quotas = [math.floor(e) for e in exact]
    # the largest remainders get what rounding left over
    by_remainder = sorted(range(len(groups)), key=lambda i: quotas[i] - exact[i])
    for position in by_remainder[: count - sum(quotas)]:
        quotas[position] += 1
    chosen = np.zeros(len(rows), bool)
    for group, quota in zip(groups, quotas, strict=True):
        chosen[rng.permutation(group)[:quota]] = True
    return rows[chosen], rows[~chosen]


def strata_of(part: Subset) -> np.ndarray[Any, Any] | None:
    """Return the class of each sample where the labels are one class a sample."""
    labels = part.labels
    if isinstance(labels, Mapping):
        labels = next(iter(labels.values()))
    if labels is None or task_of(labels) == "regression":
        return None
    if is_one_hot(labels):
        labels = labels.argmax(axis=-1)
    found: np.ndarray[Any, Any] | None = labels if labels.ndim == 1 else None
    return found
