"""Which channels go, so that a share of a cost is saved."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from edgeshrink.api import TOLERANCE
from edgeshrink.nn import ChannelGraph, ChannelGroup


@dataclass(frozen=True)
class Limits:
    """What is kept of each group.

    Attributes:
        least: channels of a group that stay.
        tile: kept channels are a multiple of this, where a channel is one place of a kernel; in a
            group of fewer than two tiles, of half of it, and so on: the layers that take them in
            are faster still.
    """

    least: int
    tile: int

    def tile_of(self, group: ChannelGroup) -> int:
        """Return the tile of a group."""
        tile = self.tile if group.width == 1 else 1
        while tile > 1 and tile * 2 > len(group):
            tile //= 2
        return tile

    def kept(self, group: ChannelGroup, wanted: int) -> int:
        """Return how many channels of a group are kept where `wanted` would do."""
        tile = self.tile_of(group)
        rounded = -(-max(wanted, self.least, 1) // tile) * tile
        return min(rounded, len(group))


def evenly(graph: ChannelGraph, worth: np.ndarray, limits: Limits) -> Selection:
    """Return the channels in an order that takes the same share of each group, the least first."""
    ranks = np.full(graph.numbers, np.inf)
    for group in graph.free:
        order = group.channels[np.argsort(worth[group.channels], kind="stable")]
        ranks[order] = (np.arange(len(order)) + 0.5) / len(order)
    ranks[~np.isfinite(worth)] = np.inf
    return Selection(graph, ranks, [limits] * len(graph.free))


def together(graph: ChannelGraph, worth: np.ndarray, limits: Limits, even: np.ndarray) -> Selection:
    """Return the channels in the order of their worth, over all groups.

    Each group keeps at least half of what an even removal would leave it: without that, one layer
    can be emptied before the others are touched, and no training makes good for it (Tanaka et
    al., NeurIPS 2020, section 3, "layer-collapse").

    Args:
        graph: of the model.
        worth: of each channel, `(numbers,)`; what is infinite stays.
        limits: what is kept of each group at least.
        even: an even removal that is enough, `(numbers,)`.
    """
    halves = [-(-int((~even[group.channels]).sum()) // 2) for group in graph.free]
    return Selection(
        graph, worth, [replace(limits, least=max(limits.least, half)) for half in halves]
    )


class Selection:
    """Channels in the order in which they go.

    Args:
        graph: of the model.
        ranks: of each channel, `(numbers,)`, the smallest first; what is infinite stays.
        limits: what is kept of each free group.
    """

    def __init__(self, graph: ChannelGraph, ranks: np.ndarray, limits: Sequence[Limits]) -> None:
        self.graph, self.ranks, self.limits = graph, ranks, limits
        self.orders = [g.channels[np.argsort(ranks[g.channels], kind="stable")] for g in graph.free]
        self.levels = np.unique(ranks[np.isfinite(ranks)])

    def at(self, level: int) -> np.ndarray:
        """Return what goes, `(numbers,)`, where all up to the given level of worth would."""
        removed = np.zeros(self.graph.numbers, bool)
        if level == 0:
            return removed
        groups = zip(self.graph.free, self.orders, self.limits, strict=True)
        for group, order, limits in groups:
            gone = int((self.ranks[order] <= self.levels[level - 1]).sum())
            removed[order[: len(group) - limits.kept(group, len(group) - gone)]] = True
        return removed

    @property
    def most(self) -> np.ndarray:
        """What can go in all, `(numbers,)`."""
        return self.at(len(self.levels))

    def nearest(
        self, left: Callable[[np.ndarray], float], goal: float, most: int | None = None
    ) -> np.ndarray:
        """Return the smallest removal that reaches a goal; the largest where none does.

        Where that goes too far, by more than `TOLERANCE`, it is the one nearest to the goal: that,
        or the next smaller one, as it is or with one tile more of any group.

        Args:
            left: the share of the cost that a removal, `(numbers,)`, leaves; never more for more.
            goal: a share, 0..1.
            most: removals to choose among, evenly spread, where asking is slow.
        """
        count = len(self.levels)
        levels = np.linspace(0, count, min(most or count + 1, count + 1)).round().astype(int)
        low, high = 0, len(levels) - 1
        while low < high:
            middle = (low + high) // 2
            if left(self.at(levels[middle])) <= goal:
                high = middle
            else:
                low = middle + 1
        enough = self.at(levels[high])
        beyond = goal - left(enough)
        if beyond <= TOLERANCE:
            return enough
        less = self.at(levels[high - 1])
        near = [less, *(self.more(less) if most is None else ()), enough]
        apart = [abs(left(removed) - goal) for removed in near]
        # of those that are near enough, the one that loses least
        good = [removed for removed, far in zip(near, apart, strict=True) if far <= TOLERANCE]
        if good:
            return min(good, key=lambda removed: self.ranks[removed & ~less].sum())
        return near[apart.index(min(apart))]

    def more(self, removed: np.ndarray) -> Iterator[np.ndarray]:
        """Yield removals with one tile more, `(numbers,)`, of each group that can give one."""
        for group, order, limits in zip(self.graph.free, self.orders, self.limits, strict=True):
            kept = int((~removed[group.channels]).sum())
            wanted = limits.kept(group, kept - limits.tile_of(group))
            gone = order[: len(group) - wanted]
            if wanted < kept and np.isfinite(self.ranks[gone]).all():
                further = removed.copy()
                further[gone] = True
                yield further
