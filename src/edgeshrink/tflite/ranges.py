"""Ranges of activations in a float .tflite: see the values, and write other ranges into it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from edgeshrink.tflite.feed import tensor_names
from edgeshrink.tflite.flat_model import FLOATS, FlatTensor
from edgeshrink.tflite.reader import read_model

# The least and greatest value of tensors, by their index in the first subgraph.
Ranges = Mapping[int, tuple[float, float]]


def activation_values(
    model: bytes, samples: Mapping[str, np.ndarray]
) -> Iterator[dict[int, np.ndarray]]:
    """Yield for each sample the values of all tensors that an operator or an output takes.

    Codes of integers are the numbers that they stand for. States start anew for each sample.

    Args:
        model: the bytes of a .tflite with a batch of one.
        samples: `(samples, ...)` for each input by its name.

    Yields:
        Arrays of the tensors' shapes, by the tensor's index in the first subgraph; tensors of
        integers that stand for themselves are left out.

    Raises:
        ModelError: the bytes are no .tflite file, or a damaged one.
    """
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    flat = read_model(model)
    interpreter = Interpreter(
        model_content=model,
        experimental_preserve_all_tensors=True,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    interpreter.allocate_tensors()
    inputs, _ = tensor_names(flat)
    # what nothing takes may have no values: a loop hands on all that it was given
    taken_up = {index for op in flat.operators if op.subgraph == 0 for index in op.inputs}
    taken_up |= {t.index for t in flat.outputs}
    wanted = [
        t
        for t in flat.tensors
        if t.subgraph == 0
        and not t.constant
        and not t.variable
        and (t.dtype in FLOATS or len(t.scales) == 1)
        and t.index in taken_up
    ]
    for place in range(len(next(iter(samples.values())))):
        if flat.stateful:
            interpreter.reset_all_variables()
        for name, values in samples.items():
            taken = flat.tensor(0, inputs[name])
            interpreter.set_tensor(inputs[name], _stored(values[place : place + 1], taken))
        interpreter.invoke()
        yield {t.index: _meant(interpreter.get_tensor(t.index), t) for t in wanted}


def _stored(values: np.ndarray, tensor: FlatTensor) -> np.ndarray:
    """Return numbers as a tensor holds them."""
    if tensor.dtype in FLOATS or not tensor.scales:
        return values.astype(tensor.dtype)  # floats where the model takes bytes
    ends = np.iinfo(tensor.dtype)
    codes = np.rint(values / tensor.scales[0]) + tensor.zero_points[0]
    stored: np.ndarray = np.clip(codes, ends.min, ends.max).astype(tensor.dtype)
    return stored


def _meant(stored: np.ndarray, tensor: FlatTensor) -> np.ndarray:
    """Return the numbers that a tensor's values stand for."""
    if tensor.dtype in FLOATS or not tensor.scales:
        return np.array(stored)
    scale, zero = np.float32(tensor.scales[0]), tensor.zero_points[0]
    meant: np.ndarray = (stored.astype("float32") - zero) * scale
    return meant


def with_ranges(calibrated: bytes, ranges: Ranges) -> bytes:
    """Return the bytes of a calibrated .tflite with other ranges than those that were seen.

    Args:
        calibrated: the bytes of a float .tflite with the least and greatest value at each tensor.
        ranges: of the tensors that change, by index in the first subgraph.
    """
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    tree: Any = schema.ModelT.InitFromObj(schema.Model.GetRootAs(calibrated, 0))
    for index, (low, high) in ranges.items():
        tensor = tree.subgraphs[0].tensors[index]
        if tensor.quantization is None:
            tensor.quantization = schema.QuantizationParametersT()
        tensor.quantization.min, tensor.quantization.max = [low], [high]
    builder = flatbuffers.Builder(len(calibrated))
    builder.Finish(tree.Pack(builder), b"TFL3")
    return bytes(builder.Output())
