"""Models in the form in which they are quantized: batch norms folded, activations as layers."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from edgeshrink.nn.graph.rewrite import Call, copied, functional, rewritten

# Layers whose output is linear in their input for each channel: a batch norm behind them folds.
LINEAR_LAYERS = (
    keras.layers.Dense,
    keras.layers.Conv1D,
    keras.layers.Conv2D,
    keras.layers.Conv3D,
    keras.layers.DepthwiseConv1D,
    keras.layers.DepthwiseConv2D,
    keras.layers.Conv1DTranspose,
    keras.layers.Conv2DTranspose,
    keras.layers.SeparableConv1D,
    keras.layers.SeparableConv2D,
)
TRANSPOSED = (keras.layers.Conv1DTranspose, keras.layers.Conv2DTranspose)
# Depthwise convolutions, with kernels `(..., channels, multiplier)`.
DEPTHWISE_LAYERS = (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D)
SEPARABLE = (keras.layers.SeparableConv1D, keras.layers.SeparableConv2D)
# What a kernel computes together with the layer; any other activation is an operator of its own.
FUSED = ("linear", "relu", "relu6")
LINEAR = "_linear"  # behind the name of a layer whose activation makes an output, as its own


def folded(model: keras.Model) -> keras.Model:
    """Return a copy that answers the same, in the form in which runtimes compute it.

    Batch norms behind a convolution or dense layer are folded into its kernel and bias (Jacob et
    al., CVPR 2018, section 3.2), activations other than ReLU are layers of their own, and nested
    models are opened. A model that is so already comes back as a copy.

    Args:
        model: a functional or Sequential model.

    Raises:
        ModelError: the model is a subclass of `keras.Model` without a graph of layers.
    """
    graph = functional(model)
    norms = _foldable(graph)
    behind = {id(layer): norm for norm, layer in norms}
    gone = {id(norm) for norm, _ in norms}
    ends = {id(tensor._keras_history.operation) for tensor in graph.outputs}

    def change(layer: Any, name: str) -> Call | None:
        if id(layer) in gone:
            return lambda given, **_: given
        if id(layer) in behind:
            return copied(layer, name, {"use_bias": True}, _with_norm(layer, behind[id(layer)]))
        activation = _own_activation(layer)
        if activation is None:
            return None
        # what makes an output keeps its name
        last = id(layer) in ends
        first, then = (f"{name}{LINEAR}", name) if last else (name, f"{name}_{activation}")
        linear = copied(layer, first, {"activation": "linear"})
        own = keras.layers.Activation(layer.activation, name=then, dtype=layer.dtype_policy)
        return lambda *args, **kwargs: own(linear(*args, **kwargs))

    return rewritten(model, change)


def unfolded_name(name: str) -> str:
    """Return what the layer that `folded` called so was called before, if it did rename it.

    Args:
        name: of a layer with weights that the model itself does not have.
    """
    return name.removesuffix(LINEAR)


def _foldable(graph: keras.Model) -> list[tuple[Any, Any]]:
    """Return the batch norms that fold, each with the layer it folds into."""
    found = []
    for layer in graph.layers:
        if isinstance(layer, keras.Model):
            found += _foldable(functional(layer))
            continue
        if not isinstance(layer, keras.layers.BatchNormalization):
            continue
        given = [node.input_tensors[0] for node in _nodes(layer, graph)]
        source = given[0]._keras_history.operation if len(given) == 1 else None
        if (
            isinstance(source, LINEAR_LAYERS)
            and layer.axis in (-1, len(given[0].shape) - 1)
            and _own_activation(source, fused=()) is None
            and len(_nodes(source, graph)) == 1
            and len(consumers(source, graph)) == 1
            and source.output not in graph.outputs
        ):
            found.append((layer, source))
    return found


def _nodes(layer: Any, graph: keras.Model) -> list[Any]:
    return [n for n in _graph_nodes(graph) if n.operation is layer]


def _graph_nodes(graph: keras.Model) -> list[Any]:
    return [n for nodes in graph._nodes_by_depth.values() for n in nodes if not n.is_input]


def consumers(layer: Any, graph: keras.Model) -> list[Any]:
    """Return the layers and operations that take what a layer puts out, once for each call.

    Args:
        layer: a layer or operation of the graph.
        graph: a functional model; nested models are not opened.
    """
    return [
        node.operation
        for node in _graph_nodes(graph)
        if any(t._keras_history.operation is layer for t in node.input_tensors)
    ]


def _own_activation(layer: Any, fused: tuple[str, ...] = FUSED) -> str | None:
    """Return the name of a layer's activation where that is an operator of its own."""
    if not isinstance(layer, LINEAR_LAYERS):
        return None
    name = getattr(layer.activation, "__name__", "activation")
    return None if name in (*fused, "linear") else name


def _with_norm(layer: Any, norm: keras.layers.BatchNormalization) -> list[np.ndarray]:
    """Return the weights of a layer, bias included, with a batch norm folded in."""
    mean, variance = (np.asarray(v, "float64") for v in (norm.moving_mean, norm.moving_variance))
    factor = 1 / np.sqrt(variance + norm.epsilon)
    if norm.scale:
        factor = factor * np.asarray(norm.gamma, "float64")
    kernels = [np.asarray(v, "float64") for v in layer.weights if len(v.shape) > 1]
    last = kernels[-1]
    if isinstance(layer, TRANSPOSED):  # (..., out, in)
        last = last * factor[:, None]
    elif isinstance(layer, DEPTHWISE_LAYERS):  # (..., in, multiplier)
        last = last * factor.reshape(last.shape[-2:])
    else:
        last = last * factor
    old = np.asarray(layer.bias, "float64") if layer.use_bias else 0.0
    bias = (old - mean) * factor + (np.asarray(norm.beta, "float64") if norm.center else 0.0)
    return [*kernels[:-1], last, bias]
