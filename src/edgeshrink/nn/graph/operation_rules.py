"""Operations of `keras.ops` that move, cut or sum up what a tensor holds; see propagation.py."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from edgeshrink.nn.graph.passthrough_rules import Rule, concatenated, flattened, merged
from edgeshrink.nn.graph.trace import Call, Trace, Value


def _batched(function: Callable[[np.ndarray], np.ndarray]) -> Callable[[Value], list[np.ndarray]]:
    return lambda value: [function(array[None])[0] for array in value.whole()]


def _transposed(trace: Trace, call: Call) -> Sequence[Value]:
    (value,), axes = call.values, call.op.axes
    if axes is None or axes[0] != 0:
        return trace.opaque(call)
    order = [axis - 1 for axis in axes[1:]]
    return [Value(call.shapes[0], value.ids.transpose(order), value.rest.transpose(order))]


def _axis(trace: Trace, call: Call) -> Sequence[Value]:
    """An axis of one place comes or goes."""
    name = "expand_dims" if type(call.op).__name__ == "ExpandDims" else "squeeze"
    if call.op.axis in (0, None):
        return trace.opaque(call)
    ids, rest = _batched(lambda a: getattr(np, name)(a, call.op.axis))(call.values[0])
    return [trace.value(call.shapes[0], ids, rest)]


def _reduced(trace: Trace, call: Call) -> Sequence[Value]:
    """A mean, maximum, minimum or sum over places, not over channels."""
    (value,), op = call.values, call.op
    axes = op.axis if isinstance(op.axis, (list, tuple)) else [op.axis]
    if None in axes or 0 in axes or any(value.ids.shape[a - (a > 0)] > 1 for a in axes):
        return trace.opaque(call, f"{call.path} works over the channels")
    if type(op).__name__ == "Sum":
        trace.fence(value.ids[value.rest != 0], f"{call.path} would sum up what they leave")
    places = tuple(axis - (axis > 0) for axis in axes)
    ids, rest = (a.max(places, keepdims=op.keepdims) for a in (value.ids, value.rest))
    return [Value(call.shapes[0], ids, rest)]


def _item(trace: Trace, call: Call) -> Sequence[Value]:
    """A slice; one that leaves channels out in steps, or takes single ones, holds them fast."""
    value, key = call.args[0], call.args[1] if len(call.args) > 1 else call.kwargs["key"]
    ids, rest = (array[None] for array in value.whole())
    try:
        taken, left = ids[key], rest[key]
    except IndexError:  # of a dynamic axis
        return trace.opaque(call)
    if call.again or taken.shape[:1] != (1,) or taken.ndim != len(call.shapes[0]) + 1:
        return trace.opaque(call)
    if taken.size < ids.size and any(
        not isinstance(k, slice) or k.step not in (None, 1)
        for k, n in zip(spelled(key, ids.ndim), (1, *value.ids.shape), strict=True)
        if n > 1
    ):
        trace.fence(taken, f"{call.path} picks them by number")
    return [trace.value(call.shapes[0], taken[0], left[0])]


def spelled(key: Any, rank: int) -> list[Any]:
    """Return a subscript with one entry an axis; an ellipsis written out, new axes left out."""
    keys = [k for k in (key if isinstance(key, (tuple, list)) else [key]) if k is not None]
    if Ellipsis not in keys:
        keys.append(Ellipsis)
    place = keys.index(Ellipsis)
    return [*keys[:place], *[slice(None)] * (rank - len(keys) + 1), *keys[place + 1 :]]


def _split(trace: Trace, call: Call) -> Sequence[Value]:
    (value,), op = call.values, call.op
    rank = len(value.shape)
    place = op.axis % rank if op.axis < 0 else op.axis - 1
    if place < 0 or call.again:
        return trace.opaque(call)
    parts = [np.split(a, borders(op, value), place) for a in value.whole()]
    return [
        trace.value(shape, ids, rest) for shape, ids, rest in zip(call.shapes, *parts, strict=True)
    ]


def borders(op: Any, value: Value) -> list[int]:
    """Return where a split cuts its axis."""
    if not isinstance(op.indices_or_sections, int):
        return list(op.indices_or_sections)
    place = op.axis % len(value.shape) if op.axis < 0 else op.axis - 1
    length = (value.shape[place] or 1) // op.indices_or_sections
    return [length * n for n in range(1, op.indices_or_sections)]


OPERATIONS: dict[str, Rule] = {
    **dict.fromkeys(
        ("Add", "Subtract", "Multiply", "Divide", "TrueDivide", "Maximum", "Minimum"), merged
    ),
    **dict.fromkeys(("Mean", "Max", "Min", "Sum"), _reduced),
    **dict.fromkeys(("ExpandDims", "Squeeze"), _axis),
    "Concatenate": concatenated,
    "Reshape": flattened,
    "Transpose": _transposed,
    "GetItem": _item,
    "Split": _split,
}
