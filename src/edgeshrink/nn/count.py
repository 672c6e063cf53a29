"""Count a Keras model: parameters, non-zeros and multiply-accumulates, layer by layer."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

Shape = tuple[int | None, ...]


@dataclass(frozen=True)
class LayerCount:
    """One layer of a model.

    Attributes:
        path: names of the nested models and the layer, joined with `/`.
        layer: the class.
        output: shape without the batch; None where it is dynamic.
        dtype: of its weights.
        parameters: weights, the frozen ones included.
        nonzeros: those that are not zero.
        macs: multiply-accumulates of one sample, over all places where the layer is used.
        bytes: of its weights as stored in Keras.
    """

    path: str
    layer: str
    output: Shape
    dtype: str
    parameters: int
    nonzeros: int
    macs: int
    bytes: int


@dataclass(frozen=True)
class ModelCount:
    """All layers of a model."""

    layers: tuple[LayerCount, ...]

    @property
    def parameters(self) -> int:
        """Weights of all layers, each counted once."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def nonzeros(self) -> int:
        """Weights that are not zero."""
        return sum(layer.nonzeros for layer in self.layers)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one sample."""
        return sum(layer.macs for layer in self.layers)


def count(model: keras.Model) -> ModelCount:
    """Return the counts of a model; a shared layer's weights count once, its MACs each time."""
    uses: dict[int, tuple[str, keras.layers.Layer, Shape, int]] = {}
    for path, layer, inputs, output in _calls(model, ""):
        known = uses.get(id(layer))
        macs = macs_of(layer, inputs, output) + (known[3] if known else 0)
        uses[id(layer)] = (known[0] if known else path, layer, output, macs)
    return ModelCount(tuple(_counted(*use) for use in uses.values()))


def _counted(path: str, layer: keras.layers.Layer, output: Shape, macs: int) -> LayerCount:
    weights = [np.asarray(v) for v in layer.weights if "seed_generator" not in v.path]
    return LayerCount(
        path,
        type(layer).__name__,
        tuple(output[1:]),
        str(weights[0].dtype) if weights else str(layer.compute_dtype),
        sum(w.size for w in weights),
        sum(int(np.count_nonzero(w)) for w in weights),
        macs,
        sum(w.nbytes for w in weights),
    )


def _calls(
    model: keras.Model, prefix: str
) -> Iterator[tuple[str, keras.layers.Layer, list[Shape], Shape]]:
    """Yield each call of each layer: its path, itself, the input shapes and the output shape."""
    if isinstance(model, keras.Sequential) and getattr(model, "_functional", None) is not None:
        model = model._functional
    if not hasattr(model, "_nodes_by_depth"):
        for layer in model.layers:  # a subclass: its calls cannot be seen, its weights can
            yield f"{prefix}{layer.name}", layer, [], (None,)
        return
    depths = sorted(model._nodes_by_depth, reverse=True)
    for node in (node for depth in depths for node in model._nodes_by_depth[depth]):
        layer = node.operation
        if isinstance(layer, keras.layers.InputLayer) or not isinstance(layer, keras.layers.Layer):
            continue
        if isinstance(layer, keras.Model):
            yield from _calls(layer, f"{prefix}{layer.name}/")
        else:
            shapes = [tuple(t.shape) for t in node.input_tensors]
            yield f"{prefix}{layer.name}", layer, shapes, tuple(node.outputs[0].shape)


def _places(shape: Shape, channels: int = 1) -> int:
    """Return how many positions an output has, without batch and the last `channels` axes."""
    return math.prod(d or 1 for d in shape[1 : len(shape) - channels])


def macs_of(layer: Any, inputs: list[Shape], output: Shape) -> int:
    """Return the multiply-accumulates of one call for one sample.

    Counted are the products of weights (and of attention's two matrix products); element-wise
    work, pooling and activations count nothing, as is usual. Dynamic dimensions count as one.
    """
    layers = keras.layers
    if isinstance(layer, (layers.Bidirectional, layers.TimeDistributed)):
        return _wrapped_macs(layer, inputs, output)
    if not inputs:
        return 0
    entering = inputs[0]
    if isinstance(layer, (layers.SeparableConv1D, layers.SeparableConv2D)):
        places = _places(output)
        kernels = (layer.depthwise_kernel, layer.pointwise_kernel)
        return int(places * sum(math.prod(kernel.shape) for kernel in kernels))
    if isinstance(layer, (layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose)):
        return int(_places(entering) * math.prod(layer.kernel.shape))
    if hasattr(layer, "kernel_size") and hasattr(layer, "kernel"):  # convolutions, depthwise too
        channels_first = getattr(layer, "data_format", "channels_last") == "channels_first"
        places = math.prod(d or 1 for d in (output[2:] if channels_first else output[1:-1]))
        return int(places * math.prod(layer.kernel.shape))
    if isinstance(layer, layers.Dense):
        return int(_places(output) * math.prod(layer.kernel.shape))
    if isinstance(layer, layers.EinsumDense):
        return int(_places(output, len(output) - 2) * math.prod(layer.kernel.shape))
    if isinstance(layer, layers.MultiHeadAttention):
        return _attention_macs(layer, inputs)
    cell = getattr(layer, "cell", None)
    if cell is not None and hasattr(cell, "recurrent_kernel"):
        steps = entering[1] or 1
        return int(steps * (math.prod(cell.kernel.shape) + math.prod(cell.recurrent_kernel.shape)))
    return 0


def _wrapped_macs(layer: Any, inputs: list[Shape], output: Shape) -> int:
    if isinstance(layer, keras.layers.Bidirectional):
        both = (layer.forward_layer, layer.backward_layer)
        return sum(macs_of(inner, inputs, output) for inner in both)
    steps = inputs[0][1] or 1
    inner = [(shape[0], *shape[2:]) for shape in inputs]
    return steps * macs_of(layer.layer, inner, (output[0], *output[2:]))


def _attention_macs(layer: Any, inputs: list[Shape]) -> int:
    queries, keys = (
        math.prod(d or 1 for d in s[1:-1]) for s in (inputs[0], inputs[1 % len(inputs)])
    )
    weights = {
        v.path.rsplit("/", 2)[-2]: math.prod(v.shape) for v in layer.weights if "kernel" in v.path
    }
    projected = sum(
        size * (queries if name in ("query", "attention_output") else keys)
        for name, size in weights.items()
    )
    heads = layer.num_heads
    value = layer._value_dim or layer._key_dim
    return int(projected + queries * keys * heads * (layer._key_dim + value))
