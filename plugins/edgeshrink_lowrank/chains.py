"""Chains of plain Keras layers in the place of one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from edgeshrink.api import Context
from edgeshrink.nn import Call, copied, layer_calls, opened, structured, with_weights
from edgeshrink_lowrank.kinds import Factored
from edgeshrink_lowrank.matrices import Spatial, Svd
from edgeshrink_lowrank.sites import input_kernels
from edgeshrink_lowrank.tensors import Cp

# What a layer does beside multiplying by its kernel: of a chain only the last layer does that.
LINEAR: Mapping[str, Any] = {
    "activation": "linear",
    "use_bias": False,
    "kernel_constraint": None,
    "bias_regularizer": None,
    "bias_constraint": None,
    "activity_regularizer": None,
}
LARGEST = 1 << 26  # values of one activation of all samples together, 256 MB


def chain(layer: Any, name: str, factored: Factored) -> Call:
    """Return what calls layers with these factors in the place of a layer.

    The last one has the layer's name, bias and activation; a constraint on the kernel is left
    out, since none of the factors is that kernel.

    Args:
        layer: the one that is replaced.
        name: of the last layer.
        factored: its kernel as a product.
    """
    *_, last = factored.factors
    if isinstance(layer, (keras.layers.RNN, keras.layers.Bidirectional)):
        return _recurrent(layer, name, factored)
    bias = [np.asarray(layer.bias)] if layer.use_bias else []
    if isinstance(layer, keras.layers.Dense):
        rank = copied(
            layer, f"{name}_rank", {**LINEAR, "units": last.shape[0]}, [factored.factors[0]]
        )
        return linked(rank, copied(layer, name, {"kernel_constraint": None}, [last, *bias]))
    return _convolutions(layer, name, factored, bias)


def linked(*steps: Call) -> Call:
    """Return what calls one after the other; further arguments go to the last."""
    *before, last = steps

    def call(given: Any, *args: Any, **kwargs: Any) -> Any:
        for step in before:
            given = step(given)
        return last(given, *args, **kwargs)

    return call


def _recurrent(layer: Any, name: str, factored: Factored) -> Call:
    """Return a dense layer without bias in front of the layer with a smaller input.

    The layers of both directions share it. Masks pass it.
    """
    first, last = factored.factors
    kernels = input_kernels(layer)
    ends = np.cumsum([kernel.shape[-1] for kernel in kernels])
    parts = np.split(last, ends[:-1], axis=-1)
    new = {id(kernel): part for kernel, part in zip(kernels, parts, strict=True)}
    rank = keras.layers.Dense(
        factored.ranks[0],
        use_bias=False,
        name=f"{name}_rank",
        dtype=layer.dtype_policy,
        trainable=layer.trainable,
    )
    weights = [new.get(id(v), np.asarray(v)) for v in layer.weights]
    # the configurations inside of a wrapper tell for which input they were built
    inner = {
        key: {**value, "build_config": None}
        for key, value in layer.get_config().items()
        if isinstance(value, dict) and "build_config" in value
    }
    return linked(with_weights(rank, [first]), copied(layer, name, inner, weights))


def _convolutions(layer: Any, name: str, factored: Factored, bias: list[np.ndarray]) -> Call:
    """Return two or three convolutions; strides and dilation are where the window is."""
    ones = (1,) * len(layer.kernel_size)
    plain = {"kernel_size": ones, "strides": ones, "dilation_rate": ones, "padding": "valid"}
    first, *middle, last = factored.factors

    def one(suffix: str, kernel: np.ndarray, **config: Any) -> Call:
        filters = {"filters": kernel.shape[-1]}
        return copied(layer, f"{name}_{suffix}", {**LINEAR, **filters, **config}, [kernel])

    def end(**config: Any) -> Call:
        return copied(layer, name, {"kernel_constraint": None, **config}, [last, *bias])

    if isinstance(factored.kind, Svd):
        return linked(one("rank", first), end(**plain))
    if isinstance(factored.kind, Spatial):
        down, right = (
            {
                "kernel_size": tuple(layer.kernel_size[a] if a == axis else 1 for a in (0, 1)),
                "strides": tuple(layer.strides[a] if a == axis else 1 for a in (0, 1)),
                "dilation_rate": tuple(layer.dilation_rate[a] if a == axis else 1 for a in (0, 1)),
            }
            for axis in (0, 1)
        )
        return linked(one("column", first, **down), end(**right))
    if isinstance(factored.kind, Cp):
        window = depthwise(layer, f"{name}_window", middle[0], [])
    else:
        window = one("window", middle[0])
    return linked(one("inputs", first, **plain), window, end(**plain))


def depthwise(layer: Any, name: str, kernel: np.ndarray, bias: list[np.ndarray]) -> Call:
    """Return a depthwise convolution that moves as a convolution does, without an activation.

    Args:
        layer: a Conv1D or Conv2D with the same strides both ways.
        name: of the new layer.
        kernel: `(*window, channels, multiplier)`.
        bias: `(channels * multiplier,)` if there is one.
    """
    flat = len(layer.kernel_size) == 1
    kind = keras.layers.DepthwiseConv1D if flat else keras.layers.DepthwiseConv2D
    made = kind(
        layer.kernel_size[0] if flat else layer.kernel_size,
        strides=layer.strides[0],
        padding=layer.padding,
        data_format=layer.data_format,
        dilation_rate=layer.dilation_rate[0] if flat else layer.dilation_rate,
        depth_multiplier=kernel.shape[-1],
        use_bias=bool(bias),
        name=name,
        dtype=layer.dtype_policy,
        trainable=layer.trainable,
    )
    return with_weights(made, [kernel, *bias])


def walked(model: keras.Model, inputs: Any, call: Call) -> None:
    """Run a model on arrays, each of its layers and operations called through `call`.

    Args:
        model: nested models are opened.
        inputs: arrays in the structure of the model's inputs.
        call: given the layer, then its arguments; returns its output.
    """

    def step(op: Any, *args: Any, **kwargs: Any) -> Any:
        return (
            opened(op, args[0], step) if isinstance(op, keras.Model) else call(op, *args, **kwargs)
        )

    opened(model, keras.tree.map_structure(keras.ops.convert_to_tensor, inputs), step)


def samples(model: keras.Model, context: Context, most: int) -> Any | None:
    """Return calibration inputs for a model, in the structure of its inputs; None without data.

    Args:
        model: that they are for; the size of its largest activation limits their number.
        context: with the data.
        most: of samples.
    """
    part = context.data.calibration if context.data is not None else None
    if part is None or context.data is None:
        return None
    widest = max(math.prod(d or 1 for d in output[1:]) for *_, output in layer_calls(model))
    taken = np.arange(max(1, min(len(part), most, LARGEST // widest)))
    values = context.data.values(part, taken)
    kinds = {tensor.name: tensor.dtype for tensor in model.inputs}
    return structured(model, {name: values[name].astype(kind) for name, kind in kinds.items()})
