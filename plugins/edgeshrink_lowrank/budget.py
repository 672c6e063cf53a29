"""How many multiply-accumulates each layer gets: the least loss over all of them together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

BINS = 4000  # of the greatest cost, in each of which the sum that loses least is followed up


def allocated(
    costs: Sequence[np.ndarray], losses: Sequence[np.ndarray], most: float, slack: float
) -> list[int]:
    """Return the choice for each layer: the sum of losses is least, that of costs as is asked.

    Layer after layer, the sums of costs that can be had are made, and of those that are nearly the
    same the one that loses least is kept (dynamic programming of the multiple-choice knapsack
    problem: Kellerer, Pferschy and Pisinger, "Knapsack problems", 2004, section 11.5).

    Args:
        costs: of each layer's choices, in any order.
        losses: likewise.
        most: the cost of all choices together.
        slack: what they may cost less. Where no choices cost from `most - slack` to `most`, those
            are taken whose cost is nearest to `most`, above it or below.

    Example:
        >>> two = [np.array([1, 4]), np.array([1, 4])]
        >>> allocated(two, [np.array([5, 0]), np.array([2, 0])], 5, 1)
        [1, 0]
        >>> allocated(two, [np.array([5, 0]), np.array([2, 0])], 7, 1)
        [1, 1]
    """
    width = sum(float(cost.max()) for cost in costs) / BINS or 1.0
    sums, lost = np.zeros(1), np.zeros(1)
    steps = []
    for cost, loss in zip(costs, losses, strict=True):
        options = _least(cost, loss, width)
        together = (sums[:, None] + cost[options]).ravel()
        in_all = (lost[:, None] + loss[options]).ravel()
        kept = _least(together, in_all, width)
        steps.append((options, kept))
        sums, lost = together[kept], in_all[kept]
    inside = (sums <= most) & (sums >= most - slack)
    place = int(np.where(inside, lost, np.inf).argmin())
    if not inside.any():
        place = int(np.abs(sums - most).argmin())
    chosen = []
    for options, kept in reversed(steps):
        place, option = divmod(int(kept[place]), len(options))
        chosen.append(int(options[option]))
    return chosen[::-1]


def _least(costs: np.ndarray, losses: np.ndarray, width: float) -> np.ndarray:
    """Return where the least loss is, among costs in the same bin, by rising cost."""
    bins = (costs // width).astype(int)
    order = np.lexsort((costs, losses, bins))
    return np.asarray(order[np.append(True, np.diff(bins[order]) > 0)])
