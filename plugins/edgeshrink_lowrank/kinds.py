"""A decomposition of a kernel: what it costs and loses at a rank, and its factors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from edgeshrink_lowrank.sites import Site

Ranks = tuple[int, ...]
ROUNDING = 1e-9  # of losses
STRIDE = 20  # rungs of which one more is left out, where those before kept less than was foretold


@dataclass(frozen=True, eq=False)
class Factored:
    """A kernel as a product.

    Attributes:
        kind: the decomposition.
        ranks: of it.
        macs: of the whole layer, once it is a chain.
        loss: share of the kernel's squares that is lost.
        factors: kernels of the chain, in its order, as its layers hold them.
    """

    kind: Kind
    ranks: Ranks
    macs: int
    loss: float
    factors: tuple[np.ndarray, ...]

    @property
    def step(self) -> int:
        """The multiply-accumulates between these ranks and the next, up or down."""
        costs = self.kind.costs
        place = int(np.searchsorted(costs, self.macs))
        return int(np.diff(costs[max(0, place - 1) : place + 2]).max(initial=0))


class Kind(ABC):
    """A decomposition of one layer's kernel.

    Attributes:
        name: as in `--lowrank-kinds`.
        foretold: whether `losses` are known without factors, and no less than what is lost.
    """

    name: ClassVar[str]
    foretold: ClassVar[bool] = True

    def __init__(self, site: Site) -> None:
        self.site = site

    @staticmethod
    @abstractmethod
    def fits(site: Site) -> bool:
        """Return whether a layer's kernel can be written so."""

    @abstractmethod
    def macs(self, ranks: Ranks) -> int:
        """Return the multiply-accumulates of the whole layer as a chain of these ranks."""

    @property
    @abstractmethod
    def ladder(self) -> list[Ranks]:
        """The ranks that are worth having, each dearer and better than the one before."""

    @property
    @abstractmethod
    def losses(self) -> np.ndarray:
        """Share of the kernel's squares that is lost at each rung of the ladder, `(rungs,)`."""

    @abstractmethod
    def above_noise(self) -> Ranks:
        """Return the ranks that variational Bayes finds."""

    @abstractmethod
    def factored(self, ranks: Ranks) -> Factored:
        """Return the kernel as a product."""

    @cached_property
    def costs(self) -> np.ndarray:
        """Multiply-accumulates at each rung of the ladder."""
        return np.array([self.macs(ranks) for ranks in self.ladder])

    def keeping(self, energy: float) -> Factored | None:
        """Return the cheapest product that keeps a share of the squares, 0..1.

        Returns:
            None where that computes no less than the layer.
        """
        most = 1 - energy + ROUNDING
        worthwhile = int((self.costs < self.site.macs).sum())
        rung = int((self.losses > most).sum())
        while rung < worthwhile:
            one = self.factored(self.ladder[rung])
            if one.loss <= most:
                return one
            rung += 1 + rung // STRIDE
        return None

    def within(self, macs: int) -> Ranks | None:
        """Return the best ranks for at most so many multiply-accumulates, or None."""
        rungs = int(np.searchsorted(self.costs, macs, side="right"))
        return self.ladder[rungs - 1] if rungs else None


def tails(squares: np.ndarray) -> np.ndarray:
    """Return what share of a sum of squares is beyond each place, the whole first.

    Example:
        >>> tails(np.array([3.0, 1.0]))
        array([1.  , 0.25, 0.  ])
    """
    rest = np.append(np.cumsum(squares[::-1])[::-1], 0.0)
    return np.asarray(rest / (rest[0] or 1.0))
