"""Magnitude pruning: masks over all kernels in scope, moved while the model trains."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import keras
import numpy as np

from edgeshrink.api import Context, ModelError
from edgeshrink.nn.scope import CONVOLUTIONS, KINDS, final_tensors, kernels_of, layers_in
from edgeshrink.nn.training import Masks, finetune

if TYPE_CHECKING:
    from edgeshrink_prune import Options

# Of each layer, under the global scope: an empty layer cuts the network in two. Where less is kept
# of all, it is a fifth of that.
KEPT_AT_LEAST = 0.02
RAMP = 0.6  # of training, over which the polynomial schedule reaches the final sparsity

STAY_DENSE = (
    keras.layers.DepthwiseConv1D,
    keras.layers.DepthwiseConv2D,
    keras.layers.Embedding,
    keras.layers.BatchNormalization,
    keras.layers.LayerNormalization,
    keras.layers.GroupNormalization,
)


def prune(model: keras.Model, options: Options, context: Context) -> keras.Model:
    """Prune by magnitude (Han et al., NIPS 2015, section 3) with gradual masks.

    The polynomial schedule is the cubic one of Zhu and Gupta, 2017 ("To prune, or not to
    prune", equation 1), with the initial sparsity 0.
    """
    variables = in_scope(model, options.layers)
    masks = Masks(variables)
    schedule = Gradual(masks, options)
    trains = context.data is not None and context.data.train is not None
    if trains and context.training.epochs:
        finetune(model, context, masks=masks, schedule=schedule)
    else:
        schedule.update(1.0)
    sizes = [int(np.prod(v.shape)) for v in variables]
    zeros = [int((np.asarray(v) == 0).sum()) for v in variables]
    context.facts["sparsity_in_scope"] = sum(zeros) / sum(sizes)
    context.facts["sparsity"] = sum(zeros) / model.count_params()
    context.facts["kernels_in_scope"] = len(variables)
    if sum(zeros) < masks.zeros():
        raise ModelError("training wrote over zeros that the masks hold")
    context.notes.append(
        f"{sum(zeros) / sum(sizes):.1%} zeros in the {len(variables)} kernels in scope, "
        f"{sum(zeros) / model.count_params():.1%} among all parameters"
    )
    return model


def in_scope(model: keras.Model, layers: Sequence[str]) -> list[keras.Variable]:
    """Return the kernels to prune.

    Without names, the first convolution, depthwise convolutions, embeddings, norms, biases and
    the output layers stay dense: they hold few weights, and each of them is used often.

    Args:
        model: any Keras model; nested and shared layers count once.
        layers: `("all",)`, `("dense",)`, `("conv",)`, or names of layers.

    Raises:
        UsageError: a name that no layer has.
        ModelError: nothing is in scope.
    """
    chosen = layers_in(model, layers, "prune")
    if KINDS.issuperset(layers):
        outputs = {id(tensor._keras_history.operation) for tensor in final_tensors(model)}
        everything = layers_in(model, ("all",), "prune")
        first = next((layer for layer in everything if isinstance(layer, CONVOLUTIONS)), None)
        chosen = [
            layer
            for layer in chosen
            if not isinstance(layer, STAY_DENSE) and layer is not first and id(layer) not in outputs
        ]
    found = {id(v): v for layer in chosen for v in kernels_of(layer)}
    if not found:
        raise ModelError(
            "prune found no kernels in scope: every layer is of a kind that stays dense",
            hint="name layers with --prune-layers NAME",
        )
    return list(found.values())


class Gradual:
    """A schedule that raises the sparsity of masks while training goes on."""

    def __init__(self, masks: Masks, options: Options) -> None:
        self.masks, self.options, self.settled = masks, options, False

    def update(self, share: float) -> None:
        """Set the masks to what is due when `share` (0..1) of training is done."""
        done = 1.0 if self.options.schedule == "constant" else min(1.0, share / RAMP)
        sparsity = self.options.sparsity * (1 - (1 - done) ** 3)
        self.settled = done >= 1.0
        kernels = [np.abs(np.asarray(v)) for v in self.masks.variables]
        if self.options.scope == "layer":
            self.masks.assign([mask_of(k, round(sparsity * k.size)) for k in kernels])
        else:
            self.masks.assign(global_masks(kernels, sparsity))


def mask_of(magnitudes: np.ndarray, zeros: int) -> np.ndarray:
    """Return a mask with exactly `zeros` zeros, at the smallest magnitudes.

    Example:
        >>> mask_of(np.array([3.0, 1.0, 2.0]), 1)
        array([1., 0., 1.], dtype=float32)
    """
    mask = np.ones(magnitudes.size, "float32")
    if zeros:
        mask[np.argpartition(magnitudes.ravel(), zeros - 1)[:zeros]] = 0
    return mask.reshape(magnitudes.shape)


def least_kept(sparsity: float) -> float:
    """Return the share of each kernel that is kept where `sparsity` of all is not."""
    return min(KEPT_AT_LEAST, (1 - sparsity) / 5)


def global_masks(kernels: Sequence[np.ndarray], sparsity: float) -> list[np.ndarray]:
    """Return masks of the smallest magnitudes over all kernels together.

    The share of zeros over all kernels is exact; each kernel keeps at least
    `KEPT_AT_LEAST` of its weights, or a fifth of the share that all keep, for which the others
    give more, as far as all can.

    Args:
        kernels: magnitudes, of any shapes.
        sparsity: share of zeros, 0..1.
    """
    sizes = np.array([k.size for k in kernels])
    most = sizes - np.ceil(least_kept(sparsity) * sizes).astype(int)
    wanted = min(round(sparsity * sizes.sum()), int(most.sum()))
    protected = []
    for kernel, limit in zip(kernels, most, strict=True):
        flat = kernel.ravel().astype("float64", copy=True)
        kept = kernel.size - limit
        if kept:
            flat[np.argpartition(flat, kernel.size - kept)[kernel.size - kept :]] = np.inf
        protected.append(flat)
    whole = mask_of(np.concatenate(protected), wanted)
    parts = np.split(whole, np.cumsum(sizes)[:-1])
    return [part.reshape(kernel.shape) for part, kernel in zip(parts, kernels, strict=True)]
