"""Which layers of a model a method works on: all, those of a kind, or those that are named."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from edgeshrink.errors import UsageError, near

# The words for kinds of layers that `layers_in` knows.
LAYER_KINDS = frozenset({"all", "dense", "conv"})
DENSE = (keras.layers.Dense, keras.layers.EinsumDense)
# The layers that `layers_in` takes for `conv`; depthwise convolutions are not among them.
CONVOLUTIONS = (
    keras.layers.Conv1D,
    keras.layers.Conv2D,
    keras.layers.Conv3D,
    keras.layers.Conv1DTranspose,
    keras.layers.Conv2DTranspose,
    keras.layers.Conv3DTranspose,
    keras.layers.SeparableConv1D,
    keras.layers.SeparableConv2D,
)


def layers_in(model: keras.Model, wanted: Sequence[str], who: str) -> list[keras.layers.Layer]:
    """Return the layers with weights that are wanted, each once.

    Args:
        model: any Keras model; nested models and wrappers are opened.
        wanted: kinds (`all`, `dense`, `conv`), or names of layers; that of a layer or model that
            holds others, as a recurrent layer its cell, stands for all in it.
        who: the method that asks, for the error.

    Raises:
        UsageError: a name that no layer has.
    """
    leaves = list({id(layer): layer for layer in _leaves(model)}.values())
    if LAYER_KINDS.issuperset(wanted):
        return [layer for layer in leaves if _is_kind(layer, wanted)]
    named: dict[str, dict[int, keras.layers.Layer]] = {}
    for holder in model._flatten_layers(include_self=False):
        inside = {id(layer) for layer in holder._flatten_layers()}
        held = {id(layer): layer for layer in leaves if id(layer) in inside}
        if held:
            named.setdefault(holder.name, {}).update(held)
    chosen: dict[int, keras.layers.Layer] = {}
    for name in wanted:
        if name not in named:
            raise UsageError(f"{who}: no layer is named {name!r}", hint=near(name, named))
        chosen.update(named[name])
    return list(chosen.values())


def kernels_of(layer: keras.layers.Layer) -> list[keras.Variable]:
    """Return a layer's trainable kernels, recurrent and separable ones included.

    Args:
        layer: any layer that is built; what it wraps counts too.

    Returns:
        Weights of two or more dimensions with `kernel` in their name.
    """
    return [
        v
        for v in layer.trainable_weights
        if len(v.shape) >= 2 and "kernel" in v.path.rsplit("/", 1)[-1]
    ]


def final_tensors(model: keras.Model) -> list[Any]:
    """Return the tensors that a model's last layers put out, in front of activation layers.

    Where an output is made by an activation layer, what that acts on is returned; where it is made
    by a nested model, the tensor inside of it.

    Args:
        model: functional or Sequential.

    Returns:
        A symbolic tensor for each output, in order.
    """
    found = []
    for tensor in model.outputs:
        source = tensor._keras_history.operation
        while isinstance(source, keras.Model):
            tensor = source.outputs[tensor._keras_history.tensor_index]
            source = tensor._keras_history.operation
        # an activation layer at the end: what it acts on is the output layer
        while not getattr(source, "weights", True) and isinstance(
            source, (keras.layers.Activation, keras.layers.Softmax)
        ):
            tensor = source.input
            source = tensor._keras_history.operation
        found.append(tensor)
    return found


def _is_kind(layer: keras.layers.Layer, wanted: Sequence[str]) -> bool:
    return (
        "all" in wanted
        or ("dense" in wanted and isinstance(layer, DENSE))
        or ("conv" in wanted and isinstance(layer, CONVOLUTIONS))
    )


def _leaves(model: keras.Model) -> list[keras.layers.Layer]:
    """Return the layers that hold weights themselves, wrappers and nested models opened."""
    return [
        layer
        for layer in model._flatten_layers(include_self=False)
        if layer.trainable_weights and not any(s.weights for s in layer._layers)
    ] or [layer for layer in model.layers if layer.trainable_weights]
