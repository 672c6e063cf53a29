"""Kernels as products of three, by alternating least squares."""

from __future__ import annotations

import math
from functools import cached_property

import keras
import numpy as np
from scipy.interpolate import PchipInterpolator

from edgeshrink_lowrank.alternating import by_rows, terms, tucker, unfolded
from edgeshrink_lowrank.kinds import Factored, Kind, Ranks
from edgeshrink_lowrank.sites import Site
from edgeshrink_lowrank.vbmf import rank_above_noise

# Of alternating least squares, at most: Tucker begins near its best, a sum of terms does not.
TURNS = {"tucker": 5, "cp": 50}
APART = 1.6  # times the rank before, ranks of which it is looked at what a sum of terms loses


class Tensor(Kind):
    """The kernel as `(window, inputs, outputs)`, and what it is along its channels."""

    @staticmethod
    def fits(site: Site) -> bool:
        """Return whether the window is more than one place."""
        return math.prod(site.window) > 1

    @cached_property
    def tensor(self) -> np.ndarray:
        """The kernel with one axis for its window."""
        return self.site.kernel.reshape(-1, self.site.inputs, self.site.outputs)

    @cached_property
    def modes(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Singular values, squared, and left vectors of the kernel, by inputs and by outputs."""
        return [by_rows(unfolded(self.tensor, axis)) for axis in (1, 2)]


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
    def table(self) -> np.ndarray:
        """What the truncated higher-order SVD loses, `(inputs, outputs)`, from rank 1 each.

        Least squares begin there, and lose no more (De Lathauwer et al., SIAM J. Matrix Anal.
        Appl. 21, 2000, "On the best rank-1 and rank-(R1, …, RN) approximation").
        """
        first, last = (vectors for _, vectors in self.modes)
        core = np.einsum("sio,ij,ok->sjk", self.tensor, first, last, optimize=True)
        kept = np.square(core).sum(0).cumsum(0).cumsum(1)
        energy = self.site.energy
        return np.asarray(np.maximum(energy - kept, 0.0) / (energy or 1.0))

    @cached_property
    def ladder(self) -> list[Ranks]:
        """The pairs of ranks that lose less than all that are cheaper."""
        places = len(self.tensor)
        fewer, more = (1 + np.indices(self.table.shape)).reshape(2, -1)
        costs, losses = self.macs((fewer, more)), self.table.ravel()
        able = (fewer <= places * more) & (more <= places * fewer)
        order = np.lexsort((losses, costs))
        order = order[able[order]]
        best = np.minimum.accumulate(losses[order])
        better = np.append(True, best[1:] < best[:-1])
        return [(int(fewer[n]), int(more[n])) for n in order[better]]

    @property
    def losses(self) -> np.ndarray:
        """What the truncated higher-order SVD loses."""
        fewer, more = np.array(self.ladder).T
        return np.asarray(self.table[fewer - 1, more - 1])

    def above_noise(self) -> Ranks:
        """Return the ranks of both unfoldings (Kim et al., section 3.2)."""
        places, *sizes = self.tensor.shape
        return tuple(
            rank_above_noise(np.sqrt(squares), (size, places * other))
            for (squares, _), size, other in zip(self.modes, sizes, sizes[::-1], strict=True)
        )

    def factored(self, ranks: Ranks) -> Factored:
        """Return the three kernels, by alternating least squares."""
        site, ones = self.site, (1,) * len(self.site.window)
        begun = [v[:, :rank] for (_, v), rank in zip(self.modes, ranks, strict=True)]
        first, core, last = tucker(self.tensor, *begun, TURNS[self.name])
        kept = np.square(core).sum()  # the bases are orthonormal
        loss = (site.energy - kept) / (site.energy or 1.0)
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

    @cached_property
    def losses(self) -> np.ndarray:
        """What least squares lose at some ranks, evenly on a logarithm, and smoothly between.

        No bound would do: that of the unfolded kernels is zero long before the loss is. Straight
        lines would have corners, and budgets would end in these.
        """
        worthwhile = max(1, int((self.costs < self.site.macs).sum()))
        steps = math.ceil(math.log(worthwhile, APART))
        sampled = np.unique(np.geomspace(1, worthwhile, 1 + steps).round().astype(int))
        found = np.minimum.accumulate(
            [1.0, *(self.factored((int(rank),)).loss for rank in sampled)]
        )
        ranks = np.minimum(np.arange(1, len(self.ladder) + 1), worthwhile)
        return np.asarray(PchipInterpolator([0, *sampled], found)(ranks))

    def above_noise(self) -> Ranks:
        """Return the greater rank of both unfoldings: a sum of that many terms spans both."""
        return (max(Tucker(self.site).above_noise()),)

    def factored(self, ranks: Ranks) -> Factored:
        """Return the three kernels, by alternating least squares."""
        site, ones, (rank,) = self.site, (1,) * len(self.site.window), ranks
        rng = np.random.default_rng(0)  # what fills up a mode that is shorter than the rank
        begun = [
            np.hstack([v[:, :rank], rng.random((len(v), max(0, rank - len(v))))])
            for _, v in self.modes
        ]
        window, first, last = terms(self.tensor, *begun, TURNS[self.name])
        lost = self.tensor - np.einsum("sr,ir,or->sio", window, first, last, optimize=True)
        loss = float(np.square(lost).sum() / (site.energy or 1.0))
        shaped = (
            first.reshape(*ones, site.inputs, rank),
            window.reshape(*site.window, rank, 1),
            last.T.reshape(*ones, rank, site.outputs),
        )
        return Factored(self, ranks, self.macs(ranks), loss, shaped)
