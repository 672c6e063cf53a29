"""What layers without weights do with channels: hand them on, move them, tie them together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from edgeshrink.nn.graph.trace import Call, Trace, Value, at, elementwise

_layers = keras.layers
Rule = Callable[[Trace, Call], Sequence[Value]]

MERGES = (
    _layers.Add,
    _layers.Subtract,
    _layers.Multiply,
    _layers.Average,
    _layers.Maximum,
    _layers.Minimum,
)


def alone(trace: Trace, call: Call) -> Sequence[Value]:
    """What treats each value alone hands its channels on; whether it does is tried out."""
    values = call.values
    if len(values) != 1 or getattr(call.op, "weights", None) or call.shapes != (values[0].shape,):
        return trace.opaque(call)

    def function(x: Any) -> Any:
        # as many axes as the real input has, the channels last
        wide = np.asarray(x).reshape(len(x), *(1,) * (len(values[0].shape) - 1), -1)
        args, kwargs = keras.tree.map_structure(
            lambda v: wide if isinstance(v, Value) else v, (call.args, call.kwargs)
        )
        return np.asarray(call.op(*args, **kwargs)).reshape(np.shape(x))

    if not values[0].shape or not elementwise(function):
        return trace.opaque(call, f"{call.path} weighs channels against each other")
    rest = values[0].rest
    return [replace(values[0], rest=at(function, rest.ravel()).reshape(rest.shape))]


def merged(trace: Trace, call: Call) -> Sequence[Value]:
    """Tie the channels of tensors that are added, multiplied or compared value by value."""
    values, rank = call.values, len(call.shapes[0])
    constants = [
        a for a in keras.tree.flatten((call.args, call.kwargs)) if not isinstance(a, Value)
    ]
    if any(np.size(constant) > 1 for constant in constants) or not rank:
        return trace.opaque(call)
    # with as many axes as the result has
    ids = [v.ids.reshape((1,) * (rank - v.ids.ndim) + v.ids.shape) for v in values]
    shapes = [(1,) * (rank - len(v.shape)) + v.shape for v in values]
    size = np.broadcast_shapes(*(i.shape for i in ids))
    spread = [any(n > 1 and d == 1 for n, d in zip(size, shape, strict=True)) for shape in shapes]
    tied = [i for i, alone in zip(ids, spread, strict=True) if not alone]
    zero = type(call.op).__name__ == "Multiply" and not any(v.rest.any() for v in values)
    for one, alone in zip(ids, spread, strict=True):
        if alone or (any(spread) and not zero):
            trace.fence(one, f"{call.path} spreads one channel over others")
    if not tied:
        return trace.opaque(call)
    first = np.broadcast_to(tied[0], size)
    for other in tied[1:]:
        trace.tie(first, other)
    trace.step(call.path, "merge", first)
    args, kwargs = keras.tree.map_structure(
        lambda v: (
            v.rest.reshape(1, *(1,) * (rank - v.rest.ndim), *v.rest.shape).astype("float32")
            if isinstance(v, Value)
            else v
        ),
        (call.args, call.kwargs),
    )
    rest = np.asarray(call.op(*args, **kwargs), "float64")[0]
    return [trace.value(call.shapes[0], first, rest)]


def spatial(trace: Trace, call: Call) -> Sequence[Value]:
    """What works on each channel's places hands its channels on."""
    ids, rest = trace.channels(call, call.values[0])
    return [trace.made(call.shapes[0], ids, rest)]


def _padded(trace: Trace, call: Call) -> Sequence[Value]:
    ids, rest = trace.channels(call, call.values[0])
    trace.fence(ids[rest != 0], f"{call.path} would put zeros around what they leave")
    return [trace.made(call.shapes[0], ids, rest)]


def concatenated(trace: Trace, call: Call) -> Sequence[Value]:
    """Put channels, or places, one behind the other."""
    rank, axis = len(call.shapes[0]), call.op.axis
    place = axis % rank if axis < 0 else axis - 1
    if place < 0:
        return trace.opaque(call)

    def joined(parts: list[np.ndarray]) -> np.ndarray:
        size = np.broadcast_shapes(*(p.take([0], place).shape for p in parts))
        return np.concatenate(
            [
                np.broadcast_to(part, (*size[:place], value.shape[place] or 1, *size[place + 1 :]))
                for part, value in zip(parts, call.values, strict=True)
            ],
            place,
        )

    ids = joined([v.ids for v in call.values])
    trace.step(call.path, "merge", ids)
    return [trace.value(call.shapes[0], ids, joined([v.rest for v in call.values]))]


def flattened(trace: Trace, call: Call) -> Sequence[Value]:
    """Lay all places out in the new shape."""
    size = tuple(1 if d is None else d for d in call.shapes[0])
    ids, rest = call.values[0].whole()
    if call.again or ids.size != int(np.prod(size)):
        return trace.opaque(call)
    return [trace.value(call.shapes[0], ids.reshape(size), rest.reshape(size))]


def _permuted(trace: Trace, call: Call) -> Sequence[Value]:
    (value,), order = call.values, [d - 1 for d in call.op.dims]
    return [Value(call.shapes[0], value.ids.transpose(order), value.rest.transpose(order))]


def _repeated(trace: Trace, call: Call) -> Sequence[Value]:
    (value,) = call.values
    return [Value(call.shapes[0], value.ids[None], value.rest[None])]


_SPATIAL = [
    *(f"{kind}Pooling{n}D" for kind in ("Max", "Average") for n in "123"),
    *(f"Global{kind}Pooling{n}D" for kind in ("Max", "Average") for n in "123"),
    *(f"Adaptive{kind}Pooling{n}D" for kind in ("Max", "Average") for n in "123"),
    *(f"UpSampling{n}D" for n in "123"),
    *(f"Cropping{n}D" for n in "123"),
    "Resizing",
]
PASSING: dict[type, Rule] = {
    **dict.fromkeys(MERGES, merged),
    _layers.Concatenate: concatenated,
    _layers.Flatten: flattened,
    _layers.Reshape: flattened,
    _layers.Permute: _permuted,
    _layers.RepeatVector: _repeated,
    **dict.fromkeys((getattr(_layers, f"ZeroPadding{n}D") for n in "123"), _padded),
    **{getattr(_layers, name): spatial for name in _SPATIAL if hasattr(_layers, name)},
}
