"""What a lower rank of one layer alone makes of a model."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial, reduce

import keras
import numpy as np

from edgeshrink.api import Changed, LayerChange
from edgeshrink_lowrank.choosing import Choice, foretold, ways, within
from edgeshrink_lowrank.kinds import Kind
from edgeshrink_lowrank.matrices import Spatial, Svd
from edgeshrink_lowrank.sites import input_kernels, sites
from edgeshrink_lowrank.tensors import Tucker

FLOAT_BYTES = 4
# Those whose product is a kernel again by matrices alone, and whose losses are known beforehand.
KINDS = (Svd.name, Spatial.name, Tucker.name)


def layer_changes(model: keras.Model) -> list[LayerChange]:
    """Return the layers that can be factored, each alone and without training.

    The kernel of a layer becomes the product of its factors: so the model answers as the chain
    would. Of `svd`, `spatial` and `tucker` the one most like the kernel is taken.

    Args:
        model: any Keras model; left as it was.

    Raises:
        ModelError: it has no graph of layers.
    """
    named: dict[str, list[Sequence[Kind]]] = {}
    for site, kinds in ways(sites(model)[0], KINDS, Choice()).items():
        named.setdefault(site.layer.name, []).append(foretold(kinds))
    return [LayerChange(name, partial(_factored, model, own)) for name, own in named.items()]


def _factored(model: keras.Model, layers: Sequence[Sequence[Kind]], share: float) -> Changed | None:
    """Return the model with all layers of one name factored, by the kinds that fit each."""
    weights: list[tuple[keras.Variable, np.ndarray]] = []
    stored = macs = 0
    for kinds in layers:
        site = kinds[0].site
        candidates = within(kinds, int((1 - share) * site.macs))
        if not candidates:
            return None
        best = min(candidates, key=lambda one: one.loss)
        kernels = input_kernels(site.layer)
        ends = np.cumsum([kernel.shape[-1] for kernel in kernels])[:-1]
        weights += zip(kernels, np.split(product(best.factors), ends, axis=-1), strict=True)
        stored += site.kernel.size - sum(factor.size for factor in best.factors)
        macs += site.macs - best.macs
    return Changed(model, weights, FLOAT_BYTES * stored, macs)


def product(factors: Sequence[np.ndarray]) -> np.ndarray:
    """Return the kernel of one layer that computes what a chain of kernels does.

    Args:
        factors: `(*window, inputs, outputs)` each, in the order of the chain; along each axis of
            the window at most one of them has more than one place.

    Example:
        >>> column, row = np.ones((3, 1, 4, 2)), np.ones((1, 3, 2, 8))
        >>> product([column, row]).shape
        (3, 3, 4, 8)
    """
    return np.asarray(reduce(np.matmul, factors))
