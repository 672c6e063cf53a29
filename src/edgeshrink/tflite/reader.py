"""What is inside a .tflite file: its tensors, operators and constants, read without running it."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from edgeshrink.errors import ModelError
from edgeshrink.tflite.flat_model import (
    FLOATS,
    PACKED_BITS,
    FlatModel,
    FlatOperator,
    FlatSignature,
    FlatTensor,
    count_macs,
)

# The mark of a .tflite file, which has it at its fifth byte.
IDENTIFIER = b"TFL3"
SCHEMA_VERSION = 3
# What the generated readers raise on bytes that are no flatbuffer; they check nothing themselves.
BROKEN = (
    AttributeError,
    IndexError,
    KeyError,
    MemoryError,
    OverflowError,
    TypeError,
    ValueError,
    struct.error,
)

# The operator of TensorFlow Lite Micro that makes a constant of indices and a table of values.
DECODE = "TFLM_DECODE"
ONLY_TFLM = (
    "constants lie behind the operator TFLM_DECODE, as look-up tables: TensorFlow Lite Micro runs "
    "that, and LiteRT refuses the file"
)

_Item = TypeVar("_Item")


def read_model(data: bytes) -> FlatModel:
    """Return what a .tflite file says of itself, as plain values.

    Args:
        data: the bytes of the file.

    Raises:
        ModelError: the bytes are no .tflite file, or a damaged one.
    """
    root = schema_model(data)
    try:
        return _Reader(data, root).model()
    except BROKEN as error:
        raise damaged(error) from error


def schema_model(data: bytes) -> Any:
    """Return the root of a .tflite file, for what `read_model` does not tell.

    Args:
        data: the bytes of the file; only its first 8 are checked.

    Returns:
        A `Model` of `ai_edge_litert.schema_py_generated`, whose accessors trust the file.

    Raises:
        ModelError: the bytes are no .tflite file.
    """
    if len(data) < 8 or data[4:8] != IDENTIFIER:
        hint = "a .tflite file has the letters TFL3 at its fifth byte"
        if data.startswith(b"version https://git-lfs"):
            hint = "it is a Git LFS pointer; `git lfs pull` fetches the model itself"
        elif data.startswith(b"PK"):
            hint = "it is an archive; a .keras file must be converted first"
        raise ModelError("the file is not a .tflite model", hint=hint)
    from ai_edge_litert import schema_py_generated as schema

    try:
        return schema.Model.GetRootAs(data, 0)
    except BROKEN as error:
        raise damaged(error) from error


def damaged(error: BaseException) -> ModelError:
    """Return the error for a file that has the right mark but not the right content."""
    return ModelError(
        f"the .tflite file is damaged ({type(error).__name__}: {error})",
        hint="copy or convert it again; it may have been cut short",
    )


def constant_values(data: bytes, tensor: FlatTensor) -> np.ndarray:
    """Return the stored values of a constant, not dequantized.

    Args:
        data: the file that `tensor` was read from.
        tensor: a constant of it.

    Returns:
        An array of the tensor's shape and type; values of 4 or 2 bits as int8 or uint8, bfloat16
        as float32. Of a sparse tensor a vector of what is stored.

    Raises:
        ModelError: the tensor is no constant, its type is one that numpy does not have, or its
            bytes do not fit its shape.
    """
    if not tensor.constant:
        raise ModelError(f"tensor {tensor.index} ({tensor.name!r}) is not a constant")
    try:
        values = _unpacked(_buffer_bytes(data, schema_model(data).Buffers(tensor.buffer)), tensor)
        return values if tensor.sparse else values.reshape(tensor.shape)
    except BROKEN as error:
        raise damaged(error) from error


def float_operators(model: FlatModel) -> list[tuple[FlatOperator, str]]:
    """Return the operators that a full-integer file should not have, each with the reason.

    Allowed in float are only QUANTIZE of a model's input and DEQUANTIZE to a model's output.

    Args:
        model: from `read_model`.

    Returns:
        Pairs of an operator and words such as `ADD computes in float32`; empty if there are none.
    """
    inputs = {(t.subgraph, t.index) for t in model.inputs}
    outputs = {(t.subgraph, t.index) for t in model.outputs}
    found = []
    for operator in model.operators:
        read_tensors, written = model.tensors_of(operator)
        floats = [t for t in (*read_tensors, *written) if t.dtype in FLOATS]
        places = {(t.subgraph, t.index) for t in floats}
        at_the_border = (operator.name == "QUANTIZE" and places <= inputs) or (
            operator.name == "DEQUANTIZE" and places <= outputs
        )
        if floats and not at_the_border:
            verb = "converts" if operator.name in ("QUANTIZE", "DEQUANTIZE") else "computes"
            where = "inside the graph " if verb == "converts" else ""
            found.append((operator, f"{operator.name} {verb} {where}in {floats[0].dtype}"))
    return found


def runtime_requirements(model: FlatModel) -> list[str]:
    """Return a sentence for each kind of operator that LiteRT's own kernels cannot run.

    These are operators of TensorFlow itself and custom ones.

    Args:
        model: from `read_model`.
    """
    sentences = {}
    for operator in model.operators:
        if operator.flex:
            sentences[operator.name] = (
                f"the operator {operator.name} runs only where TensorFlow itself is linked in; "
                "LiteRT's Python runtime cannot run it"
            )
        elif operator.custom and operator.name == DECODE:
            sentences[operator.name] = ONLY_TFLM
        elif operator.custom:
            sentences[operator.name] = (
                f"the custom operator {operator.name} runs only where its kernel is registered"
            )
    return list(sentences.values())


def _buffer_bytes(data: bytes, buffer: Any) -> np.ndarray:
    """Return the bytes of a buffer, wherever the file keeps them."""
    if buffer.Offset() > 1:  # files over 2 GB keep their buffers behind the flatbuffer
        return np.frombuffer(data, np.uint8, count=buffer.Size(), offset=buffer.Offset())
    if buffer.DataIsNone():
        return np.empty(0, np.uint8)
    return np.asarray(buffer.DataAsNumpy(), np.uint8)


def _unpacked(stored: np.ndarray, tensor: FlatTensor) -> np.ndarray:
    if tensor.dtype in PACKED_BITS:
        bits = PACKED_BITS[tensor.dtype]
        shifts = np.arange(0, 8, bits, dtype=np.uint8)
        values: np.ndarray = ((stored[:, None] >> shifts) & (2**bits - 1)).ravel()
        if not tensor.sparse:
            values = values[: tensor.elements]
        if tensor.dtype.startswith("u"):
            return values
        half = np.int8(2 ** (bits - 1))
        return np.bitwise_xor(values.astype(np.int8), half) - half
    if tensor.dtype == "bfloat16":
        return (stored.view("<u2").astype(np.uint32) << 16).view(np.float32)
    return stored.view(np.dtype(tensor.dtype).newbyteorder("<"))


def _nonzeros(stored: np.ndarray, tensor: FlatTensor) -> int | None:
    """Count the values that do not stand for zero; None for types that numpy does not have."""
    try:
        values = _unpacked(stored, tensor)
    except TypeError:
        return None
    if len(tensor.zero_points) == 1 and tensor.zero_points[0]:
        return int(np.count_nonzero(values != tensor.zero_points[0]))
    return int(np.count_nonzero(values))


def _text(raw: bytes | None) -> str:
    return (raw or b"").decode("utf-8", "replace")


def _ints(table: Any, field: str) -> tuple[int, ...]:
    """Return a vector of numbers; the accessors answer 0 for one that is not there."""
    if getattr(table, f"{field}IsNone")():
        return ()
    return tuple(getattr(table, f"{field}AsNumpy")().tolist())


def _at(items: Sequence[_Item], index: int) -> _Item:
    """Return an item; unlike Python, a damaged file's -3 means nothing."""
    if not 0 <= index < len(items):
        raise IndexError(f"{index} is not one of {len(items)}")
    return items[index]


def _constants(enumeration: type) -> Iterator[tuple[str, int]]:
    return ((k, v) for k, v in vars(enumeration).items() if isinstance(v, int))


class _Reader:
    """Walks the generated accessors with every count and index checked.

    The accessors trust the file. A damaged one may name a billion tensors that all lie in the
    same place, so the number of tables looked at is limited by the size of the file.
    """

    def __init__(self, data: bytes, root: Any) -> None:
        from ai_edge_litert import schema_py_generated as schema

        self.data, self.root = data, root
        self.tables_left = len(data)
        self.types = {v: k.lower() for k, v in _constants(schema.TensorType)}
        self.builtins = {v: k for k, v in _constants(schema.BuiltinOperator)}

    def model(self) -> FlatModel:
        root = self.root
        if root.Version() != SCHEMA_VERSION:
            raise ValueError(f"schema version {root.Version()}, not {SCHEMA_VERSION}")
        self.buffers = [
            (_buffer_bytes(self.data, b), not b.DataIsNone() or b.Offset() > 1)
            for b in self.tables(root.BuffersLength(), root.Buffers)
        ]
        codes = [self.code(c) for c in self.tables(root.OperatorCodesLength(), root.OperatorCodes)]
        tensors: list[FlatTensor] = []
        operators: list[FlatOperator] = []
        borders: list[tuple[list[FlatTensor], list[FlatTensor]]] = []
        for number, graph in enumerate(self.tables(root.SubgraphsLength(), root.Subgraphs)):
            own = [
                self.tensor(number, index, tensor)
                for index, tensor in enumerate(self.tables(graph.TensorsLength(), graph.Tensors))
            ]
            ends = [[_at(own, i) for i in _ints(graph, name)] for name in ("Inputs", "Outputs")]
            borders.append((ends[0], ends[1]))
            operators += [
                self.operator(number, index, operator, own, codes)
                for index, operator in enumerate(
                    self.tables(graph.OperatorsLength(), graph.Operators)
                )
            ]
            tensors += own
        if not borders:
            raise ValueError("no subgraph")
        metadata = {
            _text(m.Name()): m.Buffer() for m in self.tables(root.MetadataLength(), root.Metadata)
        }
        return FlatModel(
            size_bytes=len(self.data),
            description=_text(root.Description()),
            subgraphs=len(borders),
            tensors=tuple(tensors),
            operators=tuple(operators),
            inputs=tuple(borders[0][0]),
            outputs=tuple(borders[0][1]),
            signatures=tuple(
                self.signature(s)
                for s in self.tables(root.SignatureDefsLength(), root.SignatureDefs)
            ),
            runtime_version=self.runtime_version(metadata.get("min_runtime_version")),
            metadata=tuple(metadata),
        )

    def tables(self, count: int, at: Callable[[int], Any]) -> Iterator[Any]:
        self.tables_left -= count
        if self.tables_left < 0:
            raise ValueError("more tables than the file has room for")
        return (at(index) for index in range(count))

    def code(self, code: Any) -> tuple[str, int, bool]:
        # Codes above 127 came later and have their own field; the larger of both counts.
        number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        name = self.builtins[number]
        if name == "CUSTOM":
            return _text(code.CustomCode()), code.Version(), True
        return name, code.Version(), False

    def tensor(self, subgraph: int, index: int, tensor: Any) -> FlatTensor:
        shape = _ints(tensor, "Shape")
        stored, present = _at(self.buffers, tensor.Buffer())
        quantization = tensor.Quantization()
        scales: tuple[float, ...] = ()
        zero_points: tuple[int, ...] = ()
        axis = 0
        if quantization is not None:
            axis = quantization.QuantizedDimension()
            if not quantization.ScaleIsNone():
                scales = tuple(quantization.ScaleAsNumpy().tolist())
            if not quantization.ZeroPointIsNone():
                zero_points = tuple(quantization.ZeroPointAsNumpy().tolist())
        if scales and len(zero_points) != len(scales):  # LiteRT loads no such file
            raise ValueError(
                f"tensor {index} has {len(scales)} scales and {len(zero_points)} zero points"
            )
        flat = FlatTensor(
            index=index,
            subgraph=subgraph,
            name=_text(tensor.Name()),
            shape=shape,
            shape_signature=_ints(tensor, "ShapeSignature") or shape,
            dtype=self.types[tensor.Type()],
            bytes=stored.size,
            buffer=tensor.Buffer(),
            constant=present and not tensor.IsVariable() and (stored.size > 0 or 0 in shape),
            nonzeros=None,
            scales=scales,
            zero_points=zero_points,
            axis=axis,
            variable=bool(tensor.IsVariable()),
            sparse=tensor.Sparsity() is not None,
        )
        return replace(flat, nonzeros=_nonzeros(stored, flat)) if flat.constant else flat

    def operator(
        self,
        subgraph: int,
        index: int,
        operator: Any,
        tensors: list[FlatTensor],
        codes: list[tuple[str, int, bool]],
    ) -> FlatOperator:
        name, version, custom = _at(codes, operator.OpcodeIndex())
        inputs, outputs = _ints(operator, "Inputs"), _ints(operator, "Outputs")
        read_tensors = [None if i == -1 else _at(tensors, i) for i in inputs]
        written = [_at(tensors, i) for i in outputs if i != -1]
        macs = 0 if custom else count_macs(name, read_tensors, written)
        return FlatOperator(index, subgraph, name, version, inputs, outputs, macs, custom)

    def signature(self, signature: Any) -> FlatSignature:
        def names(count: int, at: Callable[[int], Any]) -> dict[str, int]:
            return {_text(m.Name()): m.TensorIndex() for m in self.tables(count, at)}

        return FlatSignature(
            key=_text(signature.SignatureKey()),
            subgraph=signature.SubgraphIndex(),
            inputs=names(signature.InputsLength(), signature.Inputs),
            outputs=names(signature.OutputsLength(), signature.Outputs),
        )

    def runtime_version(self, buffer: int | None) -> str | None:
        if buffer is None:
            return None
        return _text(_at(self.buffers, buffer)[0].tobytes()).strip("\0") or None
