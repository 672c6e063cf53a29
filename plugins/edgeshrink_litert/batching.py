"""Find out how a file made for one sample can run many at once.

A converted file says "one sample" in two places: the shapes of its inputs, which a runtime can
change, and constants such as the `[1, 784]` that a Flatten became, which it cannot. Written as
`[-1, 784]` in memory, such a constant fits any number. The file itself is not touched, and the
device compares the outputs before it believes them.
"""

from __future__ import annotations

import math
from typing import Any

from edgeshrink.tflite import FlatModel, FlatOperator, schema_model

BYTES = {"float32": 4, "int32": 4, "int64": 8, "float64": 8, "int16": 2, "float16": 2}


def activation_bytes(model: FlatModel) -> int:
    """Return the bytes that one sample's largest computed tensor takes."""
    computed = (t for t in model.tensors if not t.constant)
    return max((t.elements * BYTES.get(t.dtype, 1) for t in computed), default=0)


def patches(data: bytes, model: FlatModel) -> tuple[list[tuple[int, int]] | None, str]:
    """Return the 32-bit integers to replace, by their place in the file.

    Returns:
        Pairs of a byte offset and a value, and an empty text; or None, and why batches
        cannot be tried.
    """
    if model.subgraphs > 1:
        return None, "the graph has loops or branches"
    if model.stateful:
        return None, "the graph keeps state between operators"
    if not model.inputs or any(not t.shape or t.shape[0] != 1 for t in model.inputs):
        return None, "an input does not begin with a batch of one"
    found: list[tuple[int, int]] = []
    root = schema_model(data)
    graph = root.Subgraphs(0)
    for operator in model.operators:
        if operator.name != "RESHAPE":
            continue
        table, offset = _shape_vector(root, graph, model, operator)
        shape = model.tensor(0, operator.outputs[0]).shape
        if table is None:
            return None, f"operator {operator.index} (RESHAPE) computes its shape"
        if not shape or shape[0] != 1 or math.prod(shape) < 1:
            return None, f"operator {operator.index} (RESHAPE) folds the batch away"
        place = table.Vector(offset)
        found += [(place + 4 * axis, -1 if axis == 0 else n) for axis, n in enumerate(shape)]
    return found, ""


def _shape_vector(
    root: Any, graph: Any, model: FlatModel, operator: FlatOperator
) -> tuple[Any, int]:
    """Return the flatbuffer table that holds a RESHAPE's new shape, and the field's offset.

    The runtime reads the operator's options only if there is no tensor with the shape.
    """
    if len(operator.inputs) > 1 and operator.inputs[1] >= 0:
        tensor = model.tensor(0, operator.inputs[1])
        rank = len(model.tensor(0, operator.outputs[0]).shape)
        if not tensor.constant or tensor.dtype != "int32" or tensor.bytes != 4 * rank:
            return None, 0
        table = root.Buffers(tensor.buffer)._tab
        return table, table.Offset(4)  # `data`, the first field of a buffer
    options = graph.Operators(operator.index).BuiltinOptions()
    offset = options.Offset(4) if options is not None else 0  # `new_shape`, the first field
    return (options, offset) if offset else (None, 0)
