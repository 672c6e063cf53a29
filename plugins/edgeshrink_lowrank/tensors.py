"""Kernels as products of three: TensorLy decomposes them by alternating least squares."""

from __future__ import annotations

import math
from functools import cached_property

import keras
import numpy as np
from tensorly.decomposition import parafac, partial_tucker

from edgeshrink_lowrank.kinds import Factored, Kind, Ranks, tails
from edgeshrink_lowrank.sites import Site
from edgeshrink_lowrank.vbmf import rank_above_noise

# Of alternating least squares, at most: Tucker begins near its best, a sum of terms does not.
TURNS = {"tucker": 5, "cp": 20}
ENOUGH = 1e-4  # smaller changes of the error end it


class Tensor(Kind):
    """The kernel as `(window, inputs, outputs)`, and the spectra of its channels."""

    @staticmethod
    def fits(site: Site) -> bool:
        """Return whether the window is more than one place."""
        return math.prod(site.window) > 1

    @cached_property
    def tensor(self) -> np.ndarray:
        """The kernel with one axis for its window."""
        return self.site.kernel.reshape(-1, self.site.inputs, self.site.outputs)

    @cached_property
    def spectra(self) -> list[np.ndarray]:
        """Squares of the singular values of the unfolded kernel, by inputs and by outputs."""
        found = []
        for axis in (1, 2):
            rows = np.moveaxis(self.tensor, axis, 0).reshape(self.tensor.shape[axis], -1)
            found.append(np.maximum(np.linalg.eigvalsh(rows @ rows.T)[::-1], 0))
        return found


class Tucker(Tensor):
    """Fewer inputs, the window, more outputs (Kim et al., ICLR 2016: Tucker-2)."""

    name = "tucker"

    def macs(self, ranks: Ranks) -> int:
        """Return the cost; strides are taken by the window."""
        (fewer, more), site = ranks, self.site
        before = site.places(lambda given, made: given)
        after = site.places(lambda given, made: made)
        window = math.prod(site.window)
        inner = window * fewer * more + more * site.outputs
        return fewer * site.inputs * before + inner * after

    @cached_property
    def ladder(self) -> list[Ranks]:
        """Ranks from one up, each time the one that keeps more for what it costs."""
        places, inputs, outputs = self.tensor.shape
        full = (min(inputs, places * outputs), min(outputs, places * inputs))
        rungs = [(1, 1)]
        while rungs[-1] != full:
            fewer, more = rungs[-1]
            here = self.macs((fewer, more))
            ways = [
                (self.spectra[axis][rank] / (self.macs(ranks) - here), ranks)
                for axis, rank, ranks in (
                    (0, fewer, (fewer + 1, more)),
                    (1, more, (fewer, more + 1)),
                )
                if rank < full[axis] and max(ranks) <= places * min(ranks)
            ]
            rungs.append(max(ways)[1])
        return rungs  # type: ignore[return-value]

    @property
    def losses(self) -> np.ndarray:
        """What is lost along both modes, the bound of the higher-order SVD."""
        first, second = (tails(spectrum) for spectrum in self.spectra)
        fewer, more = np.array(self.ladder).T
        return np.asarray(np.minimum(first[fewer] + second[more], 1.0))

    def above_noise(self) -> Ranks:
        """Return the ranks of both unfoldings (Kim et al., section 3.2)."""
        places, *modes = self.tensor.shape
        return tuple(
            rank_above_noise(np.sqrt(spectrum), (mode, places * other))
            for spectrum, mode, other in zip(self.spectra, modes, modes[::-1], strict=True)
        )

    def factored(self, ranks: Ranks) -> Factored:
        """Return the three kernels, by alternating least squares."""
        site, ones = self.site, (1,) * len(self.site.window)
        (core, (first, last)), _ = partial_tucker(
            self.tensor,
            rank=list(ranks),
            modes=[1, 2],
            n_iter_max=TURNS[self.name],
            tol=ENOUGH,
            svd=by_gram,
        )
        loss = 1 - np.square(core).sum() / (site.energy or 1.0)  # the factors are orthonormal
        factors = (
            first.reshape(*ones, *first.shape),
            core.reshape(*site.window, *ranks),
            last.T.reshape(*ones, *last.T.shape),
        )
        return Factored(self, ranks, self.macs(ranks), max(0.0, float(loss)), factors)


class Cp(Tensor):
    """Inputs to `rank`, a window for each of these, `rank` to outputs.

    Lebedev et al., ICLR 2015; height and width stay together, as Astrid and Lee (2017) advise
    for small windows, so that one depthwise convolution computes them.
    """

    name = "cp"
    foretold = False

    @staticmethod
    def fits(site: Site) -> bool:
        """Return whether there is a depthwise convolution of the window and its strides."""
        layer = site.layer
        return (
            type(layer) in (keras.layers.Conv1D, keras.layers.Conv2D)
            and math.prod(site.window) > 1
            and len(set(layer.strides)) == 1
            and layer.padding != "causal"
        )

    def macs(self, ranks: Ranks) -> int:
        """Return the cost; strides are taken by the window."""
        site = self.site
        before = site.places(lambda given, made: given)
        after = site.places(lambda given, made: made)
        window = math.prod(site.window)
        return ranks[0] * (site.inputs * before + (window + site.outputs) * after)

    @property
    def ladder(self) -> list[Ranks]:
        """Ranks up to the least that is always exact."""
        places, inputs, outputs = self.tensor.shape
        most = min(places * inputs, places * outputs, inputs * outputs)
        return [(rank,) for rank in range(1, most + 1)]

    @property
    def losses(self) -> np.ndarray:
        """The least that can be lost: that along the worse mode."""
        known = [tails(spectrum)[1:] for spectrum in self.spectra]
        rungs = np.arange(len(self.ladder))
        lost = [np.where(rungs < len(k), k[rungs % len(k)], 0.0) for k in known]
        return np.asarray(np.max(lost, axis=0))

    def above_noise(self) -> Ranks:
        """Return the greater rank of both unfoldings: a sum of that many terms spans both."""
        return (max(Tucker(self.site).above_noise()),)

    def factored(self, ranks: Ranks) -> Factored:
        """Return the three kernels, by alternating least squares."""
        site, ones, (rank,) = self.site, (1,) * len(self.site.window), ranks
        _, factors = parafac(
            self.tensor,
            rank,
            n_iter_max=TURNS[self.name],
            tol=ENOUGH,
            svd=by_gram,
            random_state=0,  # of what fills up a mode that is shorter than the rank
        )
        window, first, last = (np.asarray(f) for f in factors)
        lost = self.tensor - np.einsum("sr,ir,or->sio", window, first, last, optimize=True)
        loss = float(np.square(lost).sum() / (site.energy or 1.0))
        norms = [np.maximum(np.linalg.norm(f, axis=0), 1e-30) for f in (window, first, last)]
        even = np.cbrt(norms[0] * norms[1] * norms[2])  # each factor of a term of the same size
        window, first, last = (
            f * (even / n) for f, n in zip((window, first, last), norms, strict=True)
        )
        shaped = (
            first.reshape(*ones, site.inputs, rank),
            window.reshape(*site.window, rank, 1),
            last.T.reshape(*ones, rank, site.outputs),
        )
        return Factored(self, ranks, self.macs(ranks), loss, shaped)


def by_gram(
    matrix: np.ndarray, n_eigenvecs: int | None = None, **_: object
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the first singular vectors and values of a flat matrix, from its rows' products.

    TensorLy's own way of this name takes the larger of the two products (version 0.10).
    """
    squares, vectors = np.linalg.eigh(matrix @ matrix.T)
    count = min(n_eigenvecs or len(matrix), *matrix.shape)
    left = vectors[:, ::-1][:, :count]
    roots = np.sqrt(np.maximum(squares[::-1][:count], np.finfo("float64").tiny))
    return left, roots, (left / roots).T @ matrix
