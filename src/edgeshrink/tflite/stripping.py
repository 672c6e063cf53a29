"""Make a .tflite file smaller without changing what it computes."""

from __future__ import annotations

from typing import Any

import flatbuffers
import numpy as np

from edgeshrink.errors import ModelError
from edgeshrink.tflite.archive import entries_of, with_entries
from edgeshrink.tflite.reader import BROKEN, IDENTIFIER, damaged, read_model

# Written by the converter for people who debug it; no runtime reads it.
NEEDLESS_METADATA = frozenset({b"CONVERSION_METADATA"})
# XNNPACK and memory-mapped weights want their data aligned; the schema asks for 16 bytes.
ALIGNMENT = 16


def strip(data: bytes) -> tuple[bytes, dict[str, Any]]:
    """Return the same model in fewer bytes, and the names that it lost.

    Dropped are ranges seen in calibration (`min`, `max`), names of inner tensors, the
    converter's own metadata, the description, empty and unused buffers. Equal constants,
    vectors and options are stored once. Kept are names of inputs and outputs, signatures,
    operator versions, other metadata, and files appended as a zip archive.

    Args:
        data: the bytes of a .tflite file.

    Returns:
        The new file, and a table of plain JSON values: `"tensors"` has for each subgraph's
        number (a string) the old names by index, `"operators"` for each subgraph the names of
        each operator's outputs. Indices of tensors and operators do not change.

    Raises:
        ModelError: the bytes are no .tflite file, a damaged one, or one that keeps its weights
            behind the flatbuffer, as files over 2 GB do.
    """
    if any(t.bytes and t.buffer == 0 for t in read_model(data).tensors):
        raise ModelError("the .tflite file is damaged (a constant in the empty buffer)")
    try:
        return _strip(data)
    except BROKEN as error:
        raise damaged(error) from error


def _strip(data: bytes) -> tuple[bytes, dict[str, Any]]:
    model = model_tree(data)
    names = _names(model)
    model.description = None
    model.metadata = [m for m in model.metadata or [] if m.name not in NEEDLESS_METADATA] or None
    for graph in model.subgraphs:
        ends = {*_indices(graph.inputs), *_indices(graph.outputs)}
        graph.debugMetadataIndex = -1
        for index, tensor in enumerate(graph.tensors):
            if index not in ends:
                tensor.name = None
            tensor.quantization = _lean_quantization(tensor.quantization)
        for operator in graph.operators or []:
            operator.debugMetadataIndex = -1
    return with_entries(compactly(model, len(data)), entries_of(data)), names


def model_tree(data: bytes) -> Any:
    """Return a file as a `ModelT` of `ai_edge_litert.schema_py_generated`, to be changed.

    Raises:
        ModelError: it keeps its weights behind the flatbuffer.
    """
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(data)
    if any(b.offset > 1 for b in model.buffers) or model.externalBuffers:
        # Files over 2 GB do so, where offsets are absolute.
        raise ModelError("a .tflite file with buffers outside of its flatbuffer is not written")
    return model


def compactly(model: Any, size: int) -> bytes:
    """Return the flatbuffer of a `ModelT`, what is equal in it written once.

    Args:
        model: it is changed.
        size: about how many bytes it takes.
    """
    once = _Once()
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            tensor.quantization = once.share(tensor.quantization)
        for operator in graph.operators or []:
            operator.builtinOptions = once.share(operator.builtinOptions)
            operator.builtinOptions2 = once.share(operator.builtinOptions2)
    compact_buffers(model)
    builder = _SharingBuilder(size)
    builder.Finish(model.Pack(builder), IDENTIFIER)
    return bytes(builder.Output())


def _names(model: Any) -> dict[str, Any]:
    tensors: dict[str, list[str]] = {}
    operators: dict[str, list[list[str]]] = {}
    for number, graph in enumerate(model.subgraphs):
        own = [(t.name or b"").decode("utf-8", "replace") for t in graph.tensors]
        tensors[str(number)] = own
        operators[str(number)] = [
            [own[i] for i in _indices(o.outputs) if i >= 0] for o in graph.operators or []
        ]
    return {"tensors": tensors, "operators": operators}


def _indices(vector: Any) -> list[int]:
    return [] if vector is None else [int(i) for i in vector]


def _lean_quantization(quantization: Any) -> Any:
    """Drop the ranges; what then says nothing is dropped whole."""
    if quantization is None:
        return None
    quantization.min = quantization.max = None
    if quantization.scale is None and quantization.zeroPoint is None and not quantization.details:
        return None
    return quantization


def compact_buffers(model: Any) -> None:
    """Store each constant once, and nothing for tensors that are computed.

    Args:
        model: a `ModelT` of `ai_edge_litert.schema_py_generated`; it is changed.
    """
    from ai_edge_litert import schema_py_generated as schema

    kept: list[Any] = [schema.BufferT()]  # the first is empty by the schema's own rule
    place: dict[bytes, int] = {}

    def move(index: int) -> int:
        stored = model.buffers[index].data
        # The accessors read an empty vector like a missing one; a runtime does too.
        if stored is None or len(stored) == 0:
            return 0
        content = np.asarray(stored, np.uint8).tobytes()
        if content not in place:
            place[content] = len(kept)
            kept.append(_AlignedBuffer(content))
        return place[content]

    for graph in model.subgraphs:
        for tensor in graph.tensors:
            tensor.buffer = move(tensor.buffer)
    for entry in model.metadata or []:
        entry.buffer = move(entry.buffer)
    if model.metadataBuffer is not None:
        moved = [move(int(i)) for i in model.metadataBuffer]
        model.metadataBuffer = np.array(moved, np.int32)
    model.buffers = kept


class _AlignedBuffer:
    """A buffer whose bytes begin at a multiple of 16; the generated one forgets that."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    def Pack(self, builder: Any) -> int:  # the generated classes call it so
        from ai_edge_litert import schema_py_generated as schema

        builder.StartVector(1, len(self.content), ALIGNMENT)
        builder.head -= len(self.content)
        builder.Bytes[builder.head : builder.head + len(self.content)] = self.content
        builder.vectorNumElems = len(self.content)
        data = builder.EndVector()
        schema.BufferStart(builder)
        schema.BufferAddData(builder, data)
        return int(schema.BufferEnd(builder))


class _Once:
    """Lets equal parts of a model be packed once and pointed at from everywhere."""

    def __init__(self) -> None:
        self.known: dict[str, _Shared] = {}

    def share(self, part: Any) -> Any:
        if part is None:
            return None
        return self.known.setdefault(f"{type(part).__name__} {_content(part)}", _Shared(part))


class _Shared:
    def __init__(self, part: Any) -> None:
        self.part, self.place = part, 0

    def Pack(self, builder: Any) -> int:  # the generated classes call it so
        self.place = self.place or int(self.part.Pack(builder))
        return self.place


def _content(value: Any) -> str:
    """Return a text that is equal for equal parts."""
    if isinstance(value, np.ndarray):
        return f"{value.dtype} {value.tobytes().hex()}"
    if isinstance(value, list):
        return f"[{', '.join(map(_content, value))}]"
    if hasattr(value, "__dict__"):
        return f"{{{', '.join(f'{k}: {_content(v)}' for k, v in sorted(vars(value).items()))}}}"
    return repr(value)


class _SharingBuilder(flatbuffers.Builder):
    """A builder that writes equal vectors and strings once, as the format allows."""

    __slots__ = ("vectors",)

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.vectors: dict[tuple[str, bytes], int] = {}

    def CreateNumpyVector(self, x: np.ndarray) -> int:
        key = (x.dtype.str, x.tobytes())
        if key not in self.vectors:
            self.vectors[key] = super().CreateNumpyVector(x)
        return self.vectors[key]

    def CreateString(self, s: Any, *args: Any) -> int:
        return int(self.CreateSharedString(s)) if not args else int(super().CreateString(s, *args))
