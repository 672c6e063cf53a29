"""How sparsity grows while a model trains: for good, or with weights that grow back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from edgeshrink.nn import Forward, Masks, straight_through
from edgeshrink_prune.kernels import Kernel
from edgeshrink_prune.masks import adapted, global_masks, layer_mask, scores, sizes_of, spread
from edgeshrink_prune.pattern import parse

if TYPE_CHECKING:
    import keras

    from edgeshrink_prune.options import Options

RAMP = 0.6  # of training, over which the polynomial schedule reaches the final sparsity
SURGERY = 0.8  # of training, after which nothing grows back, so that what is left can settle
MARGIN = 0.1  # by which a pruned weight must exceed what is pruned, to come back


class Gradual:
    """Raises the sparsity of masks while training goes on; what is pruned stays so.

    The polynomial schedule is the cubic one of Zhu and Gupta, 2017 ("To prune, or not to
    prune", equation 1). What was zero before stays zero.

    Args:
        kernels: to prune.
        options: tell sparsity, pattern, scope and schedule.
        others: variables beside them whose zeros are held too.
    """

    still = 0.0  # the share of training before which masks never settle

    def __init__(
        self,
        kernels: Sequence[Kernel],
        options: Options,
        others: Sequence[keras.Variable] = (),
    ) -> None:
        self.kernels, self.options, self.settled = kernels, options, False
        self.pattern = parse(options.pattern)
        self._there = [kernel.values() != 0 for kernel in kernels]
        self._sizes = [sizes_of(there.shape, self.pattern) for there in self._there]
        self.kept = [there.astype("float32") for there in self._there]
        self._others = [(np.asarray(v) != 0).astype("float32") for v in others]
        self.masks = Masks([*(kernel.variable for kernel in kernels), *others])

    @property
    def before(self) -> float:
        """The share of zeros that were there at the beginning, 0..1: they stay."""
        return 1 - sum(map(np.count_nonzero, self._there)) / sum(one.size for one in self._there)

    def update(self, share: float) -> None:
        """Set the masks to what is due when `share` (0..1) of training is done."""
        done = 1.0 if self.options.schedule == "constant" else min(1.0, share / RAMP)
        first, last = self.options.initial, self.options.sparsity
        sparsity = last + (first - last) * (1 - done) ** 3
        self.settled = done >= 1.0 and share >= self.still
        worth = [scores(values, self.pattern) for values in self.magnitudes()]
        if self.options.scope == "layer":
            pairs = zip(worth, self._sizes, strict=True)
            units = [layer_mask(kernel, sparsity, sizes) for kernel, sizes in pairs]
        elif self.options.scope == "adaptive":
            units = global_masks([adapted(kernel) for kernel in worth], sparsity, self._sizes)
        else:
            units = global_masks(worth, sparsity, self._sizes)
        self.kept = [
            spread(unit, there.shape, self.pattern) * there
            for unit, there in zip(units, self._there, strict=True)
        ]
        laid = [kernel.laid(mask) for kernel, mask in zip(self.kernels, self.kept, strict=True)]
        self.hold(laid)

    def magnitudes(self) -> list[np.ndarray]:
        """Return what masks are chosen by."""
        return [np.abs(kernel.values()) for kernel in self.kernels]

    def hold(self, masks: list[np.ndarray]) -> None:
        """Hold these masks from now on."""
        self.masks.assign([*masks, *self._others])

    def written_over(self) -> bool:
        """Return whether a weight that is pruned is not zero."""
        pairs = zip(self.kernels, self.kept, strict=True)
        return any(kernel.values()[mask == 0].any() for kernel, mask in pairs)


class Spliced(Forward):
    """Weights of which a mask shows the model some; all of them are trained.

    Guo, Yao and Chen, NIPS 2016, "Dynamic network surgery for efficient DNNs", section 3.1,
    equation 3: each weight gets the gradient of the value that the model computed with.

    Args:
        shape: of the weights.
    """

    def __init__(self, shape: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.mask = self.add_weight(
            shape=tuple(shape), initializer="ones", trainable=False, name="mask"
        )
        self.built = True

    def call(self, master: Any) -> Any:
        """Return the weights, zero where the mask is."""
        return straight_through(master, master * self.mask)


class Regrowth(Gradual):
    """Raises the sparsity as `Gradual` does, and splices back what grows while it is pruned.

    Guo, Yao and Chen, NIPS 2016, section 3.2, equation 4: what is below a threshold a is
    pruned, and what exceeds b > a comes back. Here a is the value that prunes the share that is
    due, so that the share is exact at every moment, and b is `MARGIN` above it. What was zero
    before does not come back.
    """

    still = SURGERY

    def __init__(self, kernels: Sequence[Kernel], options: Options) -> None:
        super().__init__(kernels, options)
        self.forwards = {
            kernel.variable.path: [Spliced(kernel.variable.shape)] for kernel in kernels
        }
        self._pruned = [np.zeros(there.shape, bool) for there in self._there]

    def update(self, share: float) -> None:
        """Set the masks to what is due; at the beginning nothing was pruned yet."""
        if not share:
            self.kept = [there.astype("float32") for there in self._there]
            self._pruned = [np.zeros(there.shape, bool) for there in self._there]
        super().update(share)

    def magnitudes(self) -> list[np.ndarray]:
        """Return magnitudes, those of pruned weights less by the margin."""
        pairs = zip(super().magnitudes(), self.kept, strict=True)
        return [values / np.where(mask == 0, 1 + MARGIN, 1) for values, mask in pairs]

    def hold(self, masks: list[np.ndarray]) -> None:
        """Compute with these masks from now on."""
        for (forward,), mask in zip(self.forwards.values(), masks, strict=True):
            forward.mask.assign(mask)
        for pruned, kept in zip(self._pruned, self.kept, strict=True):
            pruned |= kept == 0

    def grown_back(self) -> int:
        """Return how many weights are there that once were pruned."""
        pairs = zip(self._pruned, self.kept, strict=True)
        return sum(int((pruned & (kept == 1)).sum()) for pruned, kept in pairs)
