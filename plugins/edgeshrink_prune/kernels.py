"""Which kernels are pruned, and which of their axes are inputs and outputs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np

from edgeshrink.api import ModelError
from edgeshrink.nn import (
    CONVOLUTIONS,
    LAYER_KINDS,
    final_tensors,
    kernels_of,
    layer_calls,
    layers_in,
)

STAY_DENSE = (
    keras.layers.DepthwiseConv1D,
    keras.layers.DepthwiseConv2D,
    keras.layers.Embedding,
    keras.layers.BatchNormalization,
    keras.layers.LayerNormalization,
    keras.layers.GroupNormalization,
)
TRANSPOSED = (
    keras.layers.Conv1DTranspose,
    keras.layers.Conv2DTranspose,
    keras.layers.Conv3DTranspose,
)


# Ends of a network are few weights up to this part of those that pruning leaves elsewhere.
FEW = 0.1


@dataclass(frozen=True)
class Kernel:
    """A kernel to prune.

    Attributes:
        axes: of its inputs and outputs; the other axes number places.
    """

    variable: keras.Variable
    axes: tuple[int, int] = (-2, -1)

    def values(self) -> np.ndarray:
        """Return the weights as `(..., inputs, outputs)`."""
        return np.moveaxis(np.asarray(self.variable), self.axes, (-2, -1))

    def laid(self, mask: np.ndarray) -> np.ndarray:
        """Return what is `(..., inputs, outputs)` in the order of the variable's axes."""
        return np.moveaxis(mask, (-2, -1), self.axes)


def in_scope(model: keras.Model, layers: Sequence[str], kept: float = 1.0) -> list[Kernel]:
    """Return the kernels to prune.

    Without names, depthwise convolutions, embeddings, norms and biases stay dense, and so do the
    network's ends, its first convolution and its output layers: they hold few weights, and each of
    them is used often. Where an end holds more than `FEW` of what is kept elsewhere, these weights
    are not few, and it is pruned too.

    Args:
        model: any Keras model; nested and shared layers count once.
        layers: `("all",)`, `("dense",)`, `("conv",)`, or names of layers.
        kept: the share of weights that stay; 1 leaves all ends dense.

    Raises:
        UsageError: a name that no layer has.
        ModelError: nothing is in scope.
    """
    chosen = layers_in(model, layers, "prune")
    if LAYER_KINDS.issuperset(layers):
        outputs = {id(tensor._keras_history.operation) for tensor in final_tensors(model)}
        everything = layers_in(model, ("all",), "prune")
        first = next((layer for layer in everything if isinstance(layer, CONVOLUTIONS)), None)
        chosen = [layer for layer in chosen if not isinstance(layer, STAY_DENSE)]
        ends = [layer for layer in chosen if layer is first or id(layer) in outputs]
        inner = [layer for layer in chosen if layer not in ends]
        few = FEW * kept * sum(map(_weights, inner)) if kept < 1 else math.inf
        chosen = [layer for layer in chosen if layer in inner or _weights(layer) > few]
    found = {id(v): Kernel(v, _axes(layer)) for layer in chosen for v in kernels_of(layer)}
    if not found:
        raise ModelError(
            "prune found no kernels in scope: every layer is of a kind that stays dense",
            hint="name layers with --prune-layers NAME",
        )
    return list(found.values())


def by_layer(model: keras.Model) -> dict[str, list[Kernel]]:
    """Return all kernels that can be pruned, by the name of their layer.

    The network's ends are among them; what is of a kind that stays dense is not. A layer that holds
    others has the kernels of all of them.

    Args:
        model: any Keras model; nested and shared layers count once.
    """
    prunable = {
        id(layer)
        for layer in layers_in(model, ("all",), "prune")
        if not isinstance(layer, STAY_DENSE)
    }
    found: dict[str, dict[int, Kernel]] = {}
    for _, layer, *_ in layer_calls(model):
        for inner in layer._flatten_layers():
            own = kernels_of(inner) if id(inner) in prunable else []
            for variable in own:
                found.setdefault(layer.name, {})[id(variable)] = Kernel(variable, _axes(inner))
    return {name: list(kernels.values()) for name, kernels in found.items()}


def _weights(layer: keras.layers.Layer) -> int:
    return sum(math.prod(kernel.shape) for kernel in kernels_of(layer))


def pointwise(model: keras.Model, layers: Sequence[str]) -> list[Kernel]:
    """Return the kernels in scope that are 1 x 1 convolutions with a stride of 1.

    Raises:
        ModelError: there are none.
    """
    convolutions = (keras.layers.Conv2D, keras.layers.SeparableConv2D)
    wanted = {
        id(layer.pointwise_kernel if isinstance(layer, convolutions[1]) else layer.kernel)
        for layer in layers_in(model, ("conv",), "prune")
        if isinstance(layer, convolutions) and set(layer.strides) == {1}
    }
    found = [
        kernel
        for kernel in in_scope(model, layers)
        if id(kernel.variable) in wanted and set(kernel.variable.shape[:2]) == {1}
    ]
    if not found:
        raise ModelError(
            "XNNPACK skips zeros in 1x1 convolutions with a stride of 1, and none is in scope",
            hint="drop --prune-for xnnpack: zeros then only make the file deflate better",
        )
    return found


def _axes(layer: keras.layers.Layer) -> tuple[int, int]:
    """Return the axes of a layer's kernels along which inputs and outputs follow each other."""
    if isinstance(layer, TRANSPOSED):
        return -1, -2
    if isinstance(layer, keras.layers.EinsumDense):
        kernel, out = layer.equation.split(",")[1].split("->")
        inputs = [place for place, label in enumerate(kernel) if label not in out]
        outputs = [place for place, label in enumerate(kernel) if label in out]
        if inputs and outputs:
            return inputs[-1] - len(kernel), outputs[-1] - len(kernel)
    return -2, -1
