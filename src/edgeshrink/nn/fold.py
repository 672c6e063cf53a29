"""A model as it is quantized: batch norms folded, activations on their own, one graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from edgeshrink.errors import ModelError

# Their output is a linear map of the input for each channel, so a batch norm behind them folds.
LINEAR = (
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
DEPTHWISE = (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D)
SEPARABLE = (keras.layers.SeparableConv1D, keras.layers.SeparableConv2D)
# What a kernel computes together with the layer; any other activation is an operator of its own.
FUSED = ("linear", "relu", "relu6")

Call = Callable[..., Any]


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
    ends = {id(tensor._keras_history.operation) for tensor in graph.outputs}
    copies: dict[int, keras.layers.Layer] = {}
    activations: dict[int, keras.layers.Layer] = {}
    names: set[str] = set()

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(layer, keras.Model):
            return opened(layer, args[0], call)
        if id(layer) in norms:
            return args[0]
        if not isinstance(layer, keras.layers.Layer):
            return layer(*args, **kwargs)
        activation = _own_activation(layer)
        if id(layer) not in copies:
            name = layer.name
            if activation is not None:
                # what makes an output keeps its name
                name, other = f"{name}_linear", name
                if id(layer) not in ends:
                    name, other = layer.name, f"{other}_{activation}"
                activations[id(layer)] = keras.layers.Activation(
                    layer.activation, name=_unused(other, names), dtype=layer.dtype_policy
                )
            copies[id(layer)] = _copied(layer, _unused(name, names), id(layer) in norms.values())
        made = copies[id(layer)](*args, **kwargs)
        return made if activation is None else activations[id(layer)](made)

    inputs = keras.tree.map_structure(
        lambda t: keras.Input(batch_shape=t.shape, dtype=t.dtype, name=t.name), graph.input
    )
    made = keras.Model(inputs, opened(graph, inputs, call), name=graph.name)
    by_id = {id(layer): layer for layer in _layers(graph)}
    behind = {layer: norm for norm, layer in norms.items()}
    for key, copy in copies.items():
        norm = by_id[behind[key]] if key in behind else None
        _take_weights(copy, by_id[key], norm)
    return made


def functional(model: keras.Model) -> keras.Model:
    """Return the graph of a model: itself, or what a Sequential is inside.

    Raises:
        ModelError: it has no graph of layers.
    """
    if isinstance(model, keras.Sequential):
        return model._functional
    if not hasattr(model, "_run_through_graph"):
        raise ModelError(
            f"{model.name} is a subclassed model: it has no graph of layers to work on",
            hint="build it with the functional API, and save it again",
        )
    return model


def opened(model: keras.Model, inputs: Any, call: Call) -> Any:
    """Return the symbolic outputs of a model's layers on `inputs`, each called through `call`.

    `keras.models.clone_model` is the public way, but cuts the graph off behind what is no input.
    """
    return functional(model)._run_through_graph(inputs, call_fn=call)


def _layers(graph: keras.Model) -> list[keras.layers.Layer]:
    found = []
    for layer in graph.layers:
        found += _layers(layer) if isinstance(layer, keras.Model) else [layer]
    return found


def _foldable(graph: keras.Model) -> dict[int, int]:
    """Return the ids of batch norms that fold, each with that of the layer it folds into."""
    found = {}
    for layer in graph.layers:
        if isinstance(layer, keras.Model):
            found.update(_foldable(functional(layer)))
            continue
        if not isinstance(layer, keras.layers.BatchNormalization):
            continue
        given = [node.input_tensors[0] for node in _nodes(layer, graph)]
        source = given[0]._keras_history.operation if len(given) == 1 else None
        if (
            isinstance(source, LINEAR)
            and layer.axis in (-1, len(given[0].shape) - 1)
            and _own_activation(source, fused=()) is None
            and len(_nodes(source, graph)) == 1
            and len(consumers(source, graph)) == 1
            and source.output not in graph.outputs
        ):
            found[id(layer)] = id(source)
    return found


def _nodes(layer: Any, graph: keras.Model) -> list[Any]:
    return [n for n in _graph_nodes(graph) if n.operation is layer]


def _graph_nodes(graph: keras.Model) -> list[Any]:
    return [n for nodes in graph._nodes_by_depth.values() for n in nodes if not n.is_input]


def consumers(layer: Any, graph: keras.Model) -> list[Any]:
    """Return the operations of a graph that take what a layer puts out."""
    return [
        node.operation
        for node in _graph_nodes(graph)
        if any(t._keras_history.operation is layer for t in node.input_tensors)
    ]


def _own_activation(layer: Any, fused: tuple[str, ...] = FUSED) -> str | None:
    """Return the name of a layer's activation where that is an operator of its own."""
    if not isinstance(layer, LINEAR):
        return None
    name = getattr(layer.activation, "__name__", "activation")
    return None if name in (*fused, "linear") else name


def _copied(layer: keras.layers.Layer, name: str, bias: bool) -> keras.layers.Layer:
    config = layer.get_config()
    config["name"] = name
    if _own_activation(layer) is not None:
        config["activation"] = "linear"
    if bias:
        config["use_bias"] = True
    return type(layer).from_config(config)


def _unused(name: str, names: set[str]) -> str:
    """Return a name that no layer has yet; nested models may use one twice."""
    place, chosen = 1, name
    while chosen in names:
        chosen, place = f"{name}_{place}", place + 1
    names.add(chosen)
    return chosen


def _take_weights(
    copy: keras.layers.Layer,
    layer: keras.layers.Layer,
    norm: keras.layers.BatchNormalization | None,
) -> None:
    """Give a copied layer the weights of its original, with a batch norm folded in."""
    if norm is None:
        copy.set_weights(layer.get_weights())
        return
    mean, variance = (np.asarray(v, "float64") for v in (norm.moving_mean, norm.moving_variance))
    factor = 1 / np.sqrt(variance + norm.epsilon)
    if norm.scale:
        factor = factor * np.asarray(norm.gamma, "float64")
    kernels = [np.asarray(v, "float64") for v in layer.weights if len(v.shape) > 1]
    last = kernels[-1]
    if isinstance(layer, TRANSPOSED):  # (..., out, in)
        last = last * factor[:, None]
    elif isinstance(layer, DEPTHWISE):  # (..., in, multiplier)
        last = last * factor.reshape(last.shape[-2:])
    else:
        last = last * factor
    old = np.asarray(layer.bias, "float64") if layer.use_bias else 0.0
    bias = (old - mean) * factor + (np.asarray(norm.beta, "float64") if norm.center else 0.0)
    copy.set_weights([*kernels[:-1], last, bias])
