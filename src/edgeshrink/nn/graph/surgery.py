"""Rebuild a model without some of its channels, every other channel's arithmetic as it was."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from edgeshrink.errors import ModelError
from edgeshrink.nn.graph.channel_groups import ChannelGraph
from edgeshrink.nn.graph.layer_rules import CONVOLUTIONS, RECURRENT, SEPARABLE, TRANSPOSED
from edgeshrink.nn.graph.operation_rules import borders, spelled
from edgeshrink.nn.graph.rewrite import Call, copied, rewritten
from edgeshrink.nn.graph.trace import AxisRole

_layers = keras.layers
Shape = tuple[int, ...]


def narrowed(graph: ChannelGraph, removed: np.ndarray) -> keras.Model:
    """Return the model without the removed channels, as a plain Keras model.

    It answers as `zeroed` does, to float rounding: what a removed channel leaves behind an
    activation with f(0) ≠ 0 is added to the next bias.

    Args:
        graph: of the model, from `channel_graph`.
        removed: whether the channel of each number goes, `(graph.numbers,)` bool.

    Raises:
        ModelError: a channel is to go that must stay, or the last of a layer.
    """
    _refuse(graph, removed)

    def change(op: Any, name: str) -> Call | None:
        if not isinstance(op, keras.layers.Layer):
            return _operation(graph, op, removed)
        config: dict[str, Any] = {}
        weights = [_sliced(graph, v, removed) for v in op.weights]
        added = _left(graph, op, removed)
        if added is not None and added.any():
            if op.use_bias:
                weights[-1] = weights[-1] + added
            else:
                config["use_bias"] = True
                weights.append(added)
        shapes = {
            id(v): w.shape for v, w in zip(op.weights, weights[: len(op.weights)], strict=True)
        }
        config |= _config(op, lambda variable: shapes[id(variable)])
        if isinstance(op, _layers.Reshape):
            config["target_shape"] = _shape(graph, op, removed)
        return copied(op, name, config, weights)

    return rewritten(graph.model, change)


def zeroed(graph: ChannelGraph, removed: np.ndarray) -> keras.Model:
    """Return a copy of the model with zeros in all weights that make the removed channels.

    Args:
        graph: of the model, from `channel_graph`.
        removed: whether the channel of each number is made zero, `(graph.numbers,)` bool.
    """

    def change(op: Any, name: str) -> Call | None:
        if not isinstance(op, keras.layers.Layer):
            return None
        return copied(op, name, weights=[_zeroed(graph, v, removed) for v in op.weights])

    return rewritten(graph.model, change)


def zeroed_weights(
    graph: ChannelGraph, removed: np.ndarray
) -> list[tuple[keras.Variable, np.ndarray]]:
    """Return the weights that make the removed channels, with the values they have in `zeroed`.

    Args:
        graph: of the model, from `channel_graph`.
        removed: whether the channel of each number is made zero, `(graph.numbers,)` bool.
    """
    making = {
        id(axis.variable): axis.variable
        for axis in graph.axes
        if axis.role is not AxisRole.INPUTS and removed[axis.ids].any()
    }
    return [(variable, _zeroed(graph, variable, removed)) for variable in making.values()]


def _zeroed(graph: ChannelGraph, variable: keras.Variable, removed: np.ndarray) -> np.ndarray:
    values = np.array(variable)
    for axis in graph.axes_of(variable):
        if axis.role is not AxisRole.INPUTS:
            np.moveaxis(values, axis.axis, 0)[removed[axis.ids]] = 0
    return values


def _refuse(graph: ChannelGraph, removed: np.ndarray) -> None:
    for group in graph.groups:
        if group.fence is not None and removed[group.channels].any():
            raise ModelError(f"channels of {group} must stay: {group.fence}")
    for axis in graph.axes:
        if removed[axis.ids].all():
            raise ModelError(
                f"nothing would be left of {axis.path}", hint="keep one channel of it, or drop it"
            )


def _sliced(graph: ChannelGraph, variable: keras.Variable, removed: np.ndarray) -> np.ndarray:
    values = np.asarray(variable)
    for axis in graph.axes_of(variable):
        values = values.compress(~removed[axis.ids], axis.axis)
    return values


def _left(graph: ChannelGraph, layer: Any, removed: np.ndarray) -> np.ndarray | None:
    """Return what removed inputs add to a layer's bias, `(kept outputs,)`, or None."""
    kernel = getattr(layer, "kernel", None)
    left = None if kernel is None else graph.leftovers.get(id(kernel))
    if kernel is None or left is None or not left.any() or not hasattr(layer, "use_bias"):
        return None
    inputs, outputs = graph.axes_of(kernel)
    if inputs.role is not AxisRole.INPUTS:
        inputs, outputs = outputs, inputs
    values = np.asarray(kernel, "float64")
    total = values.sum(tuple(range(values.ndim - 2)))  # over the kernel's places
    constants = np.where(removed[inputs.ids], left, 0.0)
    return np.asarray((constants @ total)[~removed[outputs.ids]], kernel.dtype)


def _config(layer: Any, shape: Callable[[keras.Variable], Shape]) -> dict[str, Any]:
    """Return the fields of a layer's configuration that say how many channels it has."""
    if isinstance(layer, _layers.Dense):
        return {"units": shape(layer.kernel)[-1]}
    if isinstance(layer, CONVOLUTIONS):
        filters = shape(layer.kernel)[-1]
        # ungrouped ones lose single channels, grouped ones whole groups
        groups = 1 if layer.groups == 1 else layer.groups * filters // layer.filters
        return {"filters": filters, "groups": groups}
    if isinstance(layer, TRANSPOSED):
        return {"filters": shape(layer.kernel)[-2]}
    if isinstance(layer, SEPARABLE):
        return {"filters": shape(layer.pointwise_kernel)[-1]}
    if isinstance(layer, _layers.Embedding):
        return {"output_dim": shape(layer.weights[0])[-1]}
    if isinstance(layer, RECURRENT):
        return {"units": shape(layer.cell.recurrent_kernel)[0]}
    if isinstance(layer, _layers.MultiHeadAttention):
        heads, _, outputs = shape(layer._output_dense.kernel)
        return {"num_heads": heads, "output_shape": (outputs,)}
    if isinstance(layer, _layers.Bidirectional):
        both = {"layer": layer.forward_layer, "backward_layer": layer.backward_layer}
        return {key: _inner(layer, key, inner, shape) for key, inner in both.items()}
    if isinstance(layer, _layers.TimeDistributed):
        return {"layer": _inner(layer, "layer", layer.layer, shape)}
    return {}


def _inner(wrapper: Any, key: str, layer: Any, shape: Callable[[Any], Shape]) -> dict[str, Any]:
    """Return the configuration of a wrapped layer, as it stands in the wrapper's."""
    found: dict[str, Any] = copy.deepcopy(wrapper.get_config()[key])
    found["config"].update(_config(layer, shape))
    found.pop("build_config", None)  # it would be built for the old inputs
    return found


def _shape(graph: ChannelGraph, op: Any, removed: np.ndarray) -> tuple[int, ...]:
    """Return the shape that a reshape makes, -1 where it is dynamic."""
    _, (given,) = graph.calls[id(op)]
    return tuple(-1 if d is None else d for d in given.kept(removed))


def _operation(graph: ChannelGraph, op: Any, removed: np.ndarray) -> Call | None:
    """Return what is called for an operation that is told numbers of channels, or None."""
    if id(op) not in graph.calls or not graph.calls[id(op)][0].values:
        return None
    call, given = graph.calls[id(op)]
    value = call.values[0]
    if value.kept(removed) == value.shape and all(v.kept(removed) == v.shape for v in given):
        return None
    kind = type(op).__name__
    if kind == "Reshape":
        shape = _shape(graph, op, removed)
        return lambda x: keras.ops.reshape(x, (-1, *shape))
    if kind == "Split":
        place = op.axis % len(value.shape) if op.axis < 0 else op.axis - 1
        before = _before(value.ids, removed, place)
        cuts = [int(before[cut]) for cut in borders(op, value)]
        return lambda x: keras.ops.split(x, cuts, axis=op.axis)
    if kind == "GetItem":
        key = call.args[1] if len(call.args) > 1 else call.kwargs["key"]
        new = _subscript(key, value.ids, removed)
        return lambda x, *_, **__: x[new]
    return None


def _before(ids: np.ndarray, removed: np.ndarray, axis: int) -> np.ndarray:
    """Return how many places along an axis are kept before each, `(places + 1,)`."""
    others = tuple(k for k in range(ids.ndim) if k != axis)
    kept = (~removed[ids]).any(others)
    return np.concatenate([[0], np.cumsum(kept)])


def _subscript(key: Any, ids: np.ndarray, removed: np.ndarray) -> tuple[Any, ...]:
    """Return a subscript that takes what is kept of what it took."""
    entries = list(key) if isinstance(key, (tuple, list)) else [key]
    flat = spelled(key, ids.ndim + 1)
    for axis, taken in enumerate(flat):
        if axis and ids.shape[axis - 1] > 1:
            before = _before(ids, removed, axis - 1)
            if isinstance(taken, slice):
                start, stop, step = taken.indices(ids.shape[axis - 1])
                flat[axis] = slice(int(before[start]), int(before[stop]), step)
            else:
                flat[axis] = int(before[taken])
    # new axes go back to where they stood
    rebuilt: list[Any] = []
    rest = iter(flat)
    for entry in entries:
        if entry is None:
            rebuilt.append(None)
        elif entry is Ellipsis:
            count = ids.ndim + 1 - sum(e is not None and e is not Ellipsis for e in entries)
            rebuilt += [next(rest) for _ in range(count)]
        else:
            rebuilt.append(next(rest))
    return (*rebuilt, *rest)
