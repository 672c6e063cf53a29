"""What each kind of layer does with channels: makes, takes, hands on, ties together, or fences off.

A rule takes a trace and a call and returns the tensors that the call gives. Kinds without a rule
are fenced off, with whatever meets them; one without weights that keeps the shape is tried out.
Here are the kinds with weights; those without are in propagation.py, operations in operations.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from edgeshrink.nn.graph.passthrough_rules import PASSING, Rule, alone
from edgeshrink.nn.graph.trace import AxisRole, Call, Trace, Value, at, elementwise

_layers = keras.layers

CONVOLUTIONS = (_layers.Conv1D, _layers.Conv2D, _layers.Conv3D)
TRANSPOSED = (_layers.Conv1DTranspose, _layers.Conv2DTranspose, _layers.Conv3DTranspose)
DEPTHWISE = (_layers.DepthwiseConv1D, _layers.DepthwiseConv2D)
SEPARABLE = (_layers.SeparableConv1D, _layers.SeparableConv2D)
RECURRENT = (_layers.LSTM, _layers.GRU, _layers.SimpleRNN)


def follow(trace: Trace, call: Call) -> Sequence[Value]:
    """Return the tensors that a layer gives; leave in the trace what it ties and fences."""
    if getattr(call.op, "data_format", None) == "channels_first":
        return trace.opaque(call, f"{call.path} has its channels first")
    return RULES.get(type(call.op), alone)(trace, call)


def take(
    trace: Trace, call: Call, kernel: keras.Variable, axis: int, value: Value, *, exact: bool
) -> None:
    """Let an axis of a kernel take in a tensor's channels.

    Args:
        trace: what is known so far.
        call: of the layer.
        kernel: what the channels are multiplied with.
        axis: of the kernel.
        value: the tensor.
        exact: what a removed channel leaves can be added to the bias.
    """
    ids, rest = trace.channels(call, value)
    trace.axis(call, kernel, axis, AxisRole.INPUTS, ids)
    added = rest if exact else np.zeros_like(rest)
    known = trace.leftovers.setdefault(id(kernel), added)
    bad = (known != rest) | (rest != added)
    if bad.any():
        trace.fence(ids[bad], f"what they would leave is no constant behind {call.path}")


def own(trace: Trace, call: Call, ids: np.ndarray, variable: Any, axis: int = -1) -> None:
    """Let an axis of a bias or the like follow a layer's channels."""
    if variable is not None:
        trace.axis(call, variable, axis, AxisRole.OWN, ids)


def activated(trace: Trace, call: Call, ids: np.ndarray, rest: float = 0.0) -> np.ndarray:
    """Return what a layer's activation makes of removed channels; fence off what mixes channels."""
    given = np.full(ids.shape, rest, "float64")
    function = getattr(call.op, "activation", None)
    if function is None or function is keras.activations.linear:
        return given
    if not elementwise(function):
        trace.fence(ids, f"{call.path} weighs channels against each other")
        return given
    return at(function, given)


def _dense(trace: Trace, call: Call) -> Sequence[Value]:
    layer = call.op
    take(trace, call, layer.kernel, 0, call.values[0], exact=True)
    made = trace.axis(call, layer.kernel, -1, AxisRole.OUTPUTS, None)
    own(trace, call, made, layer.bias)
    return [trace.made(call.shapes[0], made, activated(trace, call, made))]


def _convolution(trace: Trace, call: Call) -> Sequence[Value]:
    layer = call.op
    made = trace.axis(call, layer.kernel, -1, AxisRole.OUTPUTS, None)
    if layer.groups == 1:
        # padding is with zeros, not with what a removed channel leaves
        exact = layer.padding == "valid" or set(layer.kernel_size) == {1}
        take(trace, call, layer.kernel, -2, call.values[0], exact=exact)
    else:  # a group goes as a whole: its inputs, and its outputs
        ids, _ = trace.channels(call, call.values[0])
        trace.step(call.path, AxisRole.INPUTS, ids)
        inputs, outputs = ids.reshape(layer.groups, -1), made.reshape(layer.groups, -1)
        trace.tie(inputs[:, :1], inputs)
        trace.tie(inputs[:, :1], outputs)
    own(trace, call, made, layer.bias)
    return [trace.made(call.shapes[0], made, activated(trace, call, made))]


def _transposed(trace: Trace, call: Call) -> Sequence[Value]:
    layer = call.op
    take(trace, call, layer.kernel, -1, call.values[0], exact=False)
    made = trace.axis(call, layer.kernel, -2, AxisRole.OUTPUTS, None)
    own(trace, call, made, layer.bias)
    return [trace.made(call.shapes[0], made, activated(trace, call, made))]


def _depthwise(trace: Trace, call: Call) -> Sequence[Value]:
    layer = call.op
    ids, _ = trace.channels(call, call.values[0])
    trace.axis(call, layer.kernel, -2, AxisRole.OWN, ids)
    made = np.repeat(ids, layer.depth_multiplier)
    own(trace, call, made, layer.bias)
    return [trace.made(call.shapes[0], made, activated(trace, call, made))]


def _separable(trace: Trace, call: Call) -> Sequence[Value]:
    layer = call.op
    ids, _ = trace.channels(call, call.values[0])
    trace.axis(call, layer.depthwise_kernel, -2, AxisRole.OWN, ids)
    between = np.repeat(ids, layer.depth_multiplier)
    trace.axis(call, layer.pointwise_kernel, -2, AxisRole.INPUTS, between)
    made = trace.axis(call, layer.pointwise_kernel, -1, AxisRole.OUTPUTS, None)
    own(trace, call, made, layer.bias)
    return [trace.made(call.shapes[0], made, activated(trace, call, made))]


def _embedding(trace: Trace, call: Call) -> Sequence[Value]:
    made = trace.axis(call, call.op.weights[0], -1, AxisRole.OUTPUTS, None)
    return [trace.made(call.shapes[0], made)]


def _recurrent(trace: Trace, call: Call) -> Sequence[Value]:
    """Units, all gates of each, and the states; a unit without weights stays at zero."""
    cell = call.op.cell
    entering, *states = call.values
    take(trace, call, cell.kernel, 0, entering, exact=False)
    units = trace.axis(call, cell.recurrent_kernel, 0, AxisRole.INPUTS, None)
    gates = np.tile(units, cell.kernel.shape[-1] // units.size)
    trace.axis(call, cell.kernel, -1, AxisRole.OUTPUTS, gates)
    trace.axis(call, cell.recurrent_kernel, -1, AxisRole.OUTPUTS, gates)
    own(trace, call, gates, cell.bias)
    for state in states:
        ids, rest = trace.channels(call, state)
        trace.tie(units, ids)
        trace.fence(units[rest != 0], f"what they would leave is the first state of {call.path}")
    if activated(trace, call, units).any():
        trace.fence(units, f"the activation of {call.path} makes something out of zero")
    return [trace.made(shape, units) for shape in call.shapes]


def _bidirectional(trace: Trace, call: Call) -> Sequence[Value]:
    layer = call.op
    if layer.return_state or len(call.values) > 1 or type(layer.forward_layer) not in RECURRENT:
        return trace.opaque(call)
    shape = (*call.shapes[0][:-1], layer.forward_layer.cell.units)
    both = [
        _recurrent(trace, replace(call, op=inner, shapes=(shape,)))[0]
        for inner in (layer.forward_layer, layer.backward_layer)
    ]
    trace.tie(both[0].ids, both[1].ids)  # one number of units is said for both
    if layer.merge_mode is None:
        return both
    if layer.merge_mode == "concat":
        return [trace.made(call.shapes[0], np.concatenate([v.ids.ravel() for v in both]))]
    return both[:1]


def _time_distributed(trace: Trace, call: Call) -> Sequence[Value]:
    (entering,) = call.values
    if entering.ids.shape[0] > 1 or isinstance(call.op.layer, keras.Model):
        return trace.opaque(call)
    trace.fence(entering.ids[entering.rest != 0], f"{call.path} wraps the bias they would change")
    step = Value(entering.shape[1:], entering.ids[0], entering.rest[0])
    inner = replace(
        call, op=call.op.layer, args=(step,), kwargs={}, shapes=tuple(s[1:] for s in call.shapes)
    )
    return [
        Value(shape, given.ids[None], given.rest[None])
        for shape, given in zip(call.shapes, follow(trace, inner), strict=True)
    ]


def _attention(trace: Trace, call: Call) -> Sequence[Value]:
    """Heads are what may go; a head without weights weighs all places alike, and adds zeros."""
    layer = call.op
    named = dict(zip(("query", "value", "key"), call.args, strict=False)) | call.kwargs
    output = layer._output_dense
    if (
        len(call.shapes) > 1
        or len(output.kernel.shape) != 3
        or not isinstance(named["value"], Value)
    ):
        return trace.opaque(call)
    heads = trace.axis(call, layer._query_dense.kernel, 1, AxisRole.OUTPUTS, None)
    key = named.get("key")
    for dense, value in [
        (layer._query_dense, named["query"]),
        (layer._key_dense, named["value"] if key is None else key),
        (layer._value_dense, named["value"]),
    ]:
        take(trace, call, dense.kernel, 0, value, exact=False)
        trace.axis(call, dense.kernel, 1, AxisRole.OUTPUTS, heads)
        own(trace, call, heads, dense.bias, axis=0)
    trace.axis(call, output.kernel, 0, AxisRole.INPUTS, heads)
    made = trace.axis(call, output.kernel, -1, AxisRole.OUTPUTS, None)
    own(trace, call, made, output.bias)
    return [trace.made(call.shapes[0], made)]


def _batch_norm(trace: Trace, call: Call) -> Sequence[Value]:
    layer, (value, *_) = call.op, call.values
    if layer.axis not in (-1, len(value.shape)):
        return trace.opaque(call, f"{call.path} works along another axis")
    ids, rest = trace.channels(call, value)
    for variable in layer.weights:
        trace.axis(call, variable, 0, AxisRole.OWN, ids)
    if not layer.scale:  # nothing multiplies with zero
        trace.fence(ids[rest != 0], f"what they would leave passes {call.path}")
    return [trace.made(call.shapes[0], ids)]


def _prelu(trace: Trace, call: Call) -> Sequence[Value]:
    (value,) = call.values
    ids, rest = trace.channels(call, value)
    if call.op.alpha.shape[-1] == ids.size:
        trace.axis(call, call.op.alpha, -1, AxisRole.OWN, ids)
    trace.fence(ids[rest < 0], f"what they would leave passes {call.path}")
    return [trace.made(call.shapes[0], ids, rest)]


def _normalized(trace: Trace, call: Call) -> Sequence[Value]:
    return trace.opaque(call, f"{call.path} takes its statistics over the channels")


RULES: dict[type, Rule] = {
    _layers.Dense: _dense,
    **dict.fromkeys(CONVOLUTIONS, _convolution),
    **dict.fromkeys(TRANSPOSED, _transposed),
    **dict.fromkeys(DEPTHWISE, _depthwise),
    **dict.fromkeys(SEPARABLE, _separable),
    **dict.fromkeys(RECURRENT, _recurrent),
    _layers.Embedding: _embedding,
    _layers.Bidirectional: _bidirectional,
    _layers.TimeDistributed: _time_distributed,
    _layers.MultiHeadAttention: _attention,
    _layers.BatchNormalization: _batch_norm,
    _layers.PReLU: _prelu,
    _layers.LayerNormalization: _normalized,
    _layers.GroupNormalization: _normalized,
    _layers.UnitNormalization: _normalized,
    _layers.Masking: _normalized,
    **PASSING,
}
