"""Constants that a .tflite file keeps as look-up tables, spelled out again.

TensorFlow Lite Micro's operator TFLM_DECODE makes a tensor of indices of a few bits and a table of
values, each time that it is run. Other runtimes refuse it. The format is that of version 1 in
tensorflow/lite/micro/kernels/decode_state_lut.cc: 16 bytes say how, the tables follow.
"""

from __future__ import annotations

from typing import Any

import flatbuffers
import numpy as np

from edgeshrink.errors import ModelError
from edgeshrink.tflite.flat_model import FlatModel, FlatTensor
from edgeshrink.tflite.reader import (
    BROKEN,
    DECODE,
    IDENTIFIER,
    constant_values,
    damaged,
    read_model,
)
from edgeshrink.tflite.stripping import compact_buffers

HEAD = 16  # bytes before the tables
LOOK_UP, VERSION, ONE_TABLE, MOST_BITS = 0, 1, 15, 7


def encoded_tensors(model: FlatModel) -> list[FlatTensor]:
    """Return the tensors that TFLM_DECODE makes, each once for each operator that reads it.

    Args:
        model: from `read_model`.
    """
    decodes = [o for o in model.operators if o.custom and o.name == DECODE]
    return [model.tensor(o.subgraph, index) for o in decodes for index in o.outputs]


def decoded(data: bytes) -> bytes:
    """Return the same model with constants in place of look-up tables.

    It computes what the file computes, and runs in any runtime.

    Args:
        data: the bytes of a .tflite file; what has no TFLM_DECODE is returned as it is, unchecked.

    Raises:
        ModelError: the file is damaged, or decodes by something else than look-up tables of
            version 1.
    """
    if DECODE.encode() not in data:
        return data
    flat = read_model(data)
    try:
        return _decoded(data, flat)
    except BROKEN as error:
        raise damaged(error) from error


def _decoded(data: bytes, flat: FlatModel) -> bytes:
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(data)
    places = {(o.subgraph, o.index): o for o in flat.operators if o.custom and o.name == DECODE}
    for number, graph in enumerate(model.subgraphs):
        kept = []
        for index, operator in enumerate(graph.operators or []):
            decode = places.get((number, index))
            if decode is None:
                kept.append(operator)
                continue
            pairs = zip(decode.inputs[::2], decode.inputs[1::2], decode.outputs, strict=True)
            for stored, told, made in pairs:
                tensors = (flat.tensor(number, i) for i in (stored, told, made))
                values = _looked_up(data, *tensors)
                model.buffers.append(schema.BufferT(data=np.frombuffer(values.tobytes(), np.uint8)))
                graph.tensors[made].buffer = len(model.buffers) - 1
        graph.operators = kept
        read = {i for o in kept for i in o.inputs} | set(graph.outputs)
        for index, tensor in enumerate(graph.tensors):
            if index not in read and flat.tensor(number, index).constant:
                tensor.buffer = 0  # the indices and the tables
                tensor.quantization = None  # of the shape of what they make, which LiteRT refuses
    compact_buffers(model)
    builder: Any = flatbuffers.Builder(len(data))
    builder.Finish(model.Pack(builder), IDENTIFIER)
    return bytes(builder.Output())


def _looked_up(data: bytes, stored: FlatTensor, told: FlatTensor, made: FlatTensor) -> np.ndarray:
    """Return the values of a tensor, of its shape and type, from its indices and its tables."""
    head = constant_values(data, told).view(np.uint8).ravel()
    kind, version, layout, stride = (int(head[place]) for place in (0, 1, 5, 6))
    axis, bits = layout >> 4, layout & MOST_BITS
    if (kind, version, int(head[4])) != (LOOK_UP, VERSION, VERSION):
        raise ModelError(
            f"{DECODE} of kind {kind}, version {version}, is none that edgeshrink reads",
            hint="it reads look-up tables of version 1, as tflite-micro writes them",
        )
    packed = constant_values(data, stored).view(np.uint8).ravel()
    if not bits or made.elements * bits > packed.size * 8:
        raise ValueError(f"{packed.size} bytes of indices, {bits} bits each, are too few")
    ones = np.unpackbits(packed, count=made.elements * bits).reshape(-1, bits)
    indices = (ones @ (1 << np.arange(bits)[::-1])).reshape(made.shape)
    if indices.size and indices.max() >= stride:
        raise ValueError("an index is outside of its table")
    values = head[HEAD:].view(np.dtype(made.dtype).newbyteorder("<"))
    if axis == ONE_TABLE:
        return values[indices]
    tables = values[: stride * made.shape[axis]].reshape(made.shape[axis], stride)
    rows = np.arange(made.shape[axis]).reshape(
        [-1 if a == axis else 1 for a in range(indices.ndim)]
    )
    return tables[rows, indices]
