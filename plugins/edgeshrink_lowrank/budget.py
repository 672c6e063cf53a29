"""How many multiply-accumulates each layer gets: the least loss over all of them together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

HALVINGS = 100  # of the interval in which the price of a multiply-accumulate is looked for


def allocated(costs: Sequence[np.ndarray], losses: Sequence[np.ndarray], most: float) -> list[int]:
    """Return the choice for each layer: the sum of losses is small, that of costs at most `most`.

    At one price for all layers, each takes what loses least with its cost paid for: what the last
    multiply-accumulate saves is the same everywhere (Everett, Operations Research 11, 1963). What
    is left below `most` then goes, step by step, to where a step keeps most for its cost.

    Args:
        costs: of each layer's choices, in any order.
        losses: likewise.
        most: the cost of all choices together; where even the cheapest are dearer, they are taken.

    Example:
        >>> allocated([np.array([1, 4]), np.array([1, 4])], [np.array([5, 0]), np.array([2, 0])], 5)
        [1, 0]
    """
    spans = [loss.max() - loss.min() for loss in losses]
    low, high = 0.0, 2.0 * float(max(spans, default=0.0)) + 1.0

    def at(price: float) -> list[int]:
        return [
            int(np.lexsort((cost, loss + price * cost))[0])
            for cost, loss in zip(costs, losses, strict=True)
        ]

    def total(chosen: list[int]) -> float:
        return float(sum(cost[place] for cost, place in zip(costs, chosen, strict=True)))

    if total(at(low)) <= most:
        return at(low)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if total(at(middle)) <= most else (middle, high)
    chosen = at(high)
    return _filled(costs, losses, chosen, most - total(chosen))


def _filled(
    costs: Sequence[np.ndarray], losses: Sequence[np.ndarray], chosen: list[int], slack: float
) -> list[int]:
    """Return choices improved where that costs no more than `slack` in all."""
    while True:
        best, step = 0.0, None
        for layer, (cost, loss, place) in enumerate(zip(costs, losses, chosen, strict=True)):
            dearer, kept = cost - cost[place], loss[place] - loss
            fits = (dearer > 0) & (dearer <= slack) & (kept > 0)
            if fits.any():
                gains = np.where(fits, kept / np.where(fits, dearer, 1), 0.0)
                place = int(gains.argmax())
                if gains[place] > best:
                    best, step = float(gains[place]), (layer, place)
        if step is None:
            return chosen
        layer, place = step
        slack -= float(costs[layer][place] - costs[layer][chosen[layer]])
        chosen[layer] = place
