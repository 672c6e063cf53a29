"""Which channels go, so that a share of a cost is saved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from edgeshrink.nn.graph import Graph, Group


@dataclass(frozen=True)
class Limits:
    """What is kept of each group.

    Attributes:
        least: channels of a group that stay.
        tile: kept channels are a multiple of this, where a channel is one place of a kernel.
    """

    least: int
    tile: int

    def kept(self, group: Group, wanted: int) -> int:
        """Return how many channels of a group are kept where `wanted` would do."""
        tile = self.tile if group.width == 1 else 1
        rounded = -(-max(wanted, self.least, 1) // tile) * tile
        return min(rounded, len(group))


class Selection:
    """Channels in the order in which they go.

    Args:
        graph: of the model.
        worth: of each channel, `(numbers,)`; what is infinite stays.
        scope: `global` takes the least of all, `layer` the same share of each group.
        limits: what is kept of each group.
    """

    def __init__(
        self, graph: Graph, worth: np.ndarray, scope: Literal["global", "layer"], limits: Limits
    ) -> None:
        self.graph, self.limits = graph, limits
        self.orders = [g.channels[np.argsort(worth[g.channels], kind="stable")] for g in graph.free]
        self.ranks = np.full(graph.numbers, np.inf)
        for order in self.orders:
            if scope == "layer":  # the place within the group, 0..1
                self.ranks[order] = (np.arange(len(order)) + 0.5) / len(order)
            else:
                self.ranks[order] = worth[order]
        self.ranks[~np.isfinite(worth)] = np.inf
        self.levels = np.unique(self.ranks[np.isfinite(self.ranks)])

    def at(self, level: int) -> np.ndarray:
        """Return what goes, `(numbers,)`, where all up to the given level of worth would."""
        removed = np.zeros(self.graph.numbers, bool)
        if level == 0:
            return removed
        for group, order in zip(self.graph.free, self.orders, strict=True):
            gone = int((self.ranks[order] <= self.levels[level - 1]).sum())
            removed[order[: len(group) - self.limits.kept(group, len(group) - gone)]] = True
        return removed

    def thin(self, count: int) -> None:
        """Leave so many levels, evenly spread, for what is slow to look at."""
        places = np.linspace(0, len(self.levels) - 1, min(count, len(self.levels))).round()
        self.levels = self.levels[places.astype(int)]

    def least(self, enough: Callable[[np.ndarray], bool]) -> np.ndarray:
        """Return the smallest removal that is enough; the largest where none is."""
        low, high = 0, len(self.levels)
        while low < high:
            middle = (low + high) // 2
            if enough(self.at(middle)):
                high = middle
            else:
                low = middle + 1
        return self.at(high)
