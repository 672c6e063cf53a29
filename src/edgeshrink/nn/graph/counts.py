"""Count a Keras model: parameters, non-zeros and multiply-accumulates, layer by layer."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

# The sizes of a tensor's axes; None for one that is not fixed.
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
        trainable: those of them that training changes; moving statistics are none.
        nonzeros: those that are not zero.
        macs: multiply-accumulates of one sample, over all places where the layer is used.
        bytes: of its weights as stored in Keras.
    """

    path: str
    layer: str
    output: Shape
    dtype: str
    parameters: int
    trainable: int
    nonzeros: int
    macs: int
    bytes: int


@dataclass(frozen=True)
class ModelCount:
    """What each layer of a model has and does, and the sums over all.

    Attributes:
        layers: one entry for each layer, in the order of the graph: its `path`, class (`layer`),
            `output` shape without the batch, `dtype`, `parameters`, `trainable` ones, `nonzeros`,
            `macs` of one sample and `bytes` of its weights.
    """

    layers: tuple[LayerCount, ...]

    @property
    def parameters(self) -> int:
        """Weights of all layers, each counted once."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def trainable(self) -> int:
        """Weights that training changes, as many papers count; each counted once."""
        return sum(layer.trainable for layer in self.layers)

    @property
    def nonzeros(self) -> int:
        """Weights that are not zero."""
        return sum(layer.nonzeros for layer in self.layers)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one sample."""
        return sum(layer.macs for layer in self.layers)


def count(model: keras.Model) -> ModelCount:
    """Return the counts of a model; a shared layer's weights count once, its MACs each time.

    Args:
        model: any Keras model; nested models are opened. Of a subclass without a graph of layers
            the weights are counted, and no MACs.
    """
    uses: dict[int, tuple[str, keras.layers.Layer, Shape, int]] = {}
    for path, layer, inputs, output in layer_calls(model):
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
        sum(math.prod(v.shape) for v in layer.trainable_weights),
        sum(int(np.count_nonzero(w)) for w in weights),
        macs,
        sum(w.nbytes for w in weights),
    )


def layer_calls(
    model: keras.Model, prefix: str = ""
) -> Iterator[tuple[str, keras.layers.Layer, list[Shape], Shape]]:
    """Yield each call of each layer: its path, itself, the input shapes and the output shape.

    Args:
        model: nested models are opened. A subclass without a graph of layers yields each of its
            layers once, with no input shapes.
        prefix: what the paths begin with.

    Yields:
        Names of nested models and the layer, joined with `/`; the layer; the shape of each of its
        inputs; the shape of its first output. Shapes have the batch first.
    """
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
            yield from layer_calls(layer, f"{prefix}{layer.name}/")
        else:
            shapes = [tuple(t.shape) for t in node.input_tensors]
            yield f"{prefix}{layer.name}", layer, shapes, tuple(node.outputs[0].shape)


def _places(shape: Shape, channels: int = 1) -> int:
    """Return how many positions an output has, without batch and the last `channels` axes."""
    return math.prod(d or 1 for d in shape[1 : len(shape) - channels])


def macs_of(layer: Any, inputs: Sequence[Shape], output: Shape) -> int:
    """Return the multiply-accumulates of one call for one sample.

    Counted are the products of weights (and of attention's two matrix products); element-wise
    work, pooling and activations count nothing, as is usual. Dynamic dimensions count as one.

    Args:
        layer: a layer that is built; operations that are no layers count nothing.
        inputs: the shape of each input, batch first.
        output: the shape of its first output, batch first.
    """
    used = sum(n * math.prod(v.shape) for v, n in uses_of(layer, inputs, output))
    return int(used) + _products_of(layer, inputs)


def uses_of(
    layer: Any, inputs: Sequence[Shape], output: Shape
) -> Iterator[tuple[keras.Variable, int]]:
    """Yield a layer's kernels, each with how often one call multiplies each of its values.

    However narrow a layer becomes, these numbers stay: they are the layer's places.

    Args:
        layer: a layer that is built; operations that are no layers have no kernels.
        inputs: the shape of each input, batch first.
        output: the shape of its first output, batch first.

    Yields:
        A kernel, and the times for one sample; dynamic dimensions count as one.
    """
    layers = keras.layers
    if isinstance(layer, layers.Bidirectional):
        for inner in (layer.forward_layer, layer.backward_layer):
            yield from uses_of(inner, inputs, output)
    elif isinstance(layer, layers.TimeDistributed):
        inner = [(shape[0], *shape[2:]) for shape in inputs]
        for kernel, times in uses_of(layer.layer, inner, (output[0], *output[2:])):
            yield kernel, times * (inputs[0][1] or 1)
    elif not inputs:
        return
    elif isinstance(layer, (layers.SeparableConv1D, layers.SeparableConv2D)):
        yield layer.depthwise_kernel, _pixels(layer, output)
        yield layer.pointwise_kernel, _pixels(layer, output)
    elif isinstance(
        layer, (layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose)
    ):
        yield layer.kernel, _pixels(layer, inputs[0])
    elif isinstance(layer, (layers.ConvLSTM1D, layers.ConvLSTM2D, layers.ConvLSTM3D)):
        one = (output[0], *output[2:]) if layer.return_sequences else output
        for kernel in (layer.cell.kernel, layer.cell.recurrent_kernel):
            yield kernel, (inputs[0][1] or 1) * _pixels(layer, one)
    elif hasattr(layer, "kernel_size") and hasattr(layer, "kernel"):  # depthwise too
        yield layer.kernel, _pixels(layer, output)
    elif isinstance(layer, layers.Dense):
        yield layer.kernel, _places(output)
    elif isinstance(layer, layers.EinsumDense):
        yield layer.kernel, _einsum_places(layer, inputs[0])
    elif isinstance(layer, layers.MultiHeadAttention):
        queries, keys = _sequences(inputs)
        for dense, times in [
            (layer._query_dense, queries),
            (layer._key_dense, keys),
            (layer._value_dense, keys),
            (layer._output_dense, queries),
        ]:
            yield dense.kernel, times
    elif isinstance(layer, layers.RNN):
        for cell in getattr(layer.cell, "cells", [layer.cell]):
            if hasattr(cell, "recurrent_kernel"):
                yield cell.kernel, inputs[0][1] or 1
                yield cell.recurrent_kernel, inputs[0][1] or 1


def _pixels(layer: Any, shape: Shape) -> int:
    """Return how many positions an image or sequence has, wherever a layer has its channels."""
    first = getattr(layer, "data_format", "channels_last") == "channels_first"
    return math.prod(d or 1 for d in (shape[2:] if first else shape[1:-1]))


def _einsum_places(layer: Any, given: Shape) -> int:
    """Return how often an einsum multiplies each value of its kernel: the axes that are no part."""
    letters, kernel = layer.equation.partition("->")[0].split(",")
    unnamed = "." * (len(given) - len(letters.replace("...", "")))
    axes = zip(letters.replace("...", unnamed), given, strict=True)
    return math.prod(size or 1 for letter, size in [*axes][1:] if letter not in kernel.strip("."))


def _sequences(inputs: Sequence[Shape]) -> tuple[int, int]:
    """Return how many queries and keys an attention layer is given."""
    queries, keys = (
        math.prod(d or 1 for d in s[1:-1]) for s in (inputs[0], inputs[1 % len(inputs)])
    )
    return queries, keys


def _products_of(layer: Any, inputs: Sequence[Shape]) -> int:
    """Return the multiply-accumulates between activations: queries by keys, and by values."""
    if not isinstance(layer, keras.layers.MultiHeadAttention) or not inputs:
        return 0
    queries, keys = _sequences(inputs)
    width = layer._key_dim + (layer._value_dim or layer._key_dim)
    return int(queries * keys * layer.num_heads * width)
