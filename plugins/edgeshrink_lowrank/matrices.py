"""Kernels as products of two: by the singular values of a matrix."""

from __future__ import annotations

from abc import abstractmethod
from functools import cached_property

import numpy as np

from edgeshrink_lowrank.kinds import Factored, Kind, Ranks, tails
from edgeshrink_lowrank.sites import Site
from edgeshrink_lowrank.vbmf import rank_above_noise


class Matrix(Kind):
    """The kernel as a matrix, and its singular values."""

    @property
    @abstractmethod
    def matrix(self) -> np.ndarray:
        """The kernel as the matrix that is factored."""

    @cached_property
    def parts(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The matrix's left vectors, singular values and right vectors."""
        u, s, v = np.linalg.svd(self.matrix, full_matrices=False)
        return u, s, v

    @property
    def ladder(self) -> list[Ranks]:
        """All ranks."""
        return [(rank,) for rank in range(1, min(self.matrix.shape) + 1)]

    @property
    def losses(self) -> np.ndarray:
        """The squares of the singular values that are left out (Eckart and Young, 1936)."""
        return tails(np.square(self.parts[1]))[1:]

    def above_noise(self) -> Ranks:
        """Return the rank that variational Bayes finds."""
        return (rank_above_noise(self.parts[1], self.matrix.shape),)

    def halves(self, rank: int) -> tuple[np.ndarray, np.ndarray]:
        """Return two factors of the same size: each has the roots of the singular values."""
        u, s, v = self.parts
        roots = np.sqrt(s[:rank])
        return u[:, :rank] * roots, roots[:, None] * v[:rank]


class Svd(Matrix):
    """Window and inputs to `rank`, `rank` to outputs.

    Of convolutions the filters are made from fewer (Zhang et al., CVPR 2015, "Efficient and
    accurate approximations of nonlinear convolutional networks", section 2.1).
    """

    name = "svd"

    @staticmethod
    def fits(site: Site) -> bool:
        """Return that every kernel is such a matrix."""
        return True

    @property
    def matrix(self) -> np.ndarray:
        """Window and inputs, by outputs."""
        return self.site.kernel.reshape(-1, self.site.outputs)

    def macs(self, ranks: Ranks) -> int:
        """Return the cost; strides are taken by the first layer."""
        site = self.site
        places = site.places(lambda given, made: made)
        return ranks[0] * sum(self.matrix.shape) * places + site.fixed

    def factored(self, ranks: Ranks) -> Factored:
        """Return the two kernels."""
        (rank,), site = ranks, self.site
        first, second = self.halves(rank)
        ones = (1,) * len(site.window)
        shaped = (
            first.reshape(*site.window, site.inputs, rank),
            second.reshape(*ones, rank, site.outputs),
        )
        loss = float(self.losses[rank - 1])
        return Factored(self, ranks, self.macs(ranks), loss, shaped)


class Spatial(Matrix):
    """A column, then a row (Jaderberg et al., BMVC 2014, scheme 2; Tai et al., ICLR 2016)."""

    name = "spatial"

    @staticmethod
    def fits(site: Site) -> bool:
        """Return whether the window has two dimensions, neither of which is one place."""
        return len(site.window) == 2 and min(site.window) > 1

    @property
    def matrix(self) -> np.ndarray:
        """Height and inputs, by width and outputs."""
        height, width = self.site.window
        swapped = self.site.kernel.transpose(0, 2, 1, 3)
        return swapped.reshape(height * self.site.inputs, width * self.site.outputs)

    def macs(self, ranks: Ranks) -> int:
        """Return the cost: the column moves by the vertical stride, the row by the other."""
        site = self.site
        height, width = site.window
        columns = site.places(lambda given, made: (made[0], given[1]))
        rows = site.places(lambda given, made: made)
        return ranks[0] * (height * site.inputs * columns + width * site.outputs * rows)

    def factored(self, ranks: Ranks) -> Factored:
        """Return the two kernels."""
        (rank,), site = ranks, self.site
        height, width = site.window
        first, second = self.halves(rank)
        column = first.reshape(height, 1, site.inputs, rank)
        row = second.reshape(rank, 1, width, site.outputs).transpose(1, 2, 0, 3)
        loss = float(self.losses[rank - 1])
        return Factored(self, ranks, self.macs(ranks), loss, (column, row))
