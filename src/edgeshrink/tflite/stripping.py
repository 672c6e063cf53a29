"""Make a .tflite file smaller without changing what it computes."""

from __future__ import annotations

import itertools
import re
import string
from collections.abc import Collection, Iterator
from typing import Any, Literal

import flatbuffers
import numpy as np

from edgeshrink.errors import ModelError
from edgeshrink.tflite.archive import entries_of, with_entries
from edgeshrink.tflite.reader import BROKEN, IDENTIFIER, damaged, read_model

# What becomes of the names of inner tensors.
Names = Literal["short", "none", "keep"]
DIGITS = string.digits + string.ascii_lowercase
SHORT = re.compile(r"[0-9a-z]{1,5}")
# Written by the converter for people who debug it; no runtime reads it.
NEEDLESS_METADATA = frozenset({b"CONVERSION_METADATA"})
# XNNPACK and memory-mapped weights want their data aligned; the schema asks for 16 bytes.
ALIGNMENT = 16


def strip(data: bytes, names: Names = "short") -> tuple[bytes, dict[str, Any]]:
    """Return the same model in fewer bytes, and the names that it had.

    Dropped are ranges seen in calibration (`min`, `max`), the converter's own metadata, the
    description, empty and unused buffers, and names of inner tensors as `names` says. Equal
    constants, vectors and options are stored once. Kept are names of inputs and outputs,
    signatures, operator versions, other metadata, and files appended as a zip archive.

    Args:
        data: the bytes of a .tflite file.
        names: of inner tensors: `short` gives each the shortest that is the file's only one (0, 1,
            ..., z, 10, ...), `none` leaves it without, `keep` with the one that it has. Programs
            that tell tensors by name read no file without.

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
        return _strip(data, names)
    except BROKEN as error:
        raise damaged(error) from error


def naming(data: bytes) -> Names:
    """Return how the inner tensors of a file are named: as `strip` would leave them, or at length.

    Args:
        data: the bytes of a .tflite file.

    Raises:
        ModelError: the bytes are no .tflite file, or a damaged one.
    """
    from ai_edge_litert import schema_py_generated as schema

    read_model(data)
    inner, _ = _inner(schema.ModelT.InitFromPackedBuf(data))
    names = [tensor.name.decode("utf-8", "replace") if tensor.name else "" for tensor in inner]
    if not all(names):
        return "none"
    return "short" if all(map(SHORT.fullmatch, names)) else "keep"


def short_names(taken: Collection[bytes]) -> Iterator[bytes]:
    """Yield the shortest names, those that are taken left out.

    Example:
        >>> list(itertools.islice(short_names({b"1"}), 3))
        [b'0', b'2', b'3']
    """
    for number in itertools.count():
        digits = ""
        while number or not digits:
            number, digit = divmod(number, len(DIGITS))
            digits = DIGITS[digit] + digits
        if (name := digits.encode()) not in taken:
            yield name


def _strip(data: bytes, names: Names) -> tuple[bytes, dict[str, Any]]:
    model = model_tree(data)
    had = _names(model)
    model.description = None
    model.metadata = [m for m in model.metadata or [] if m.name not in NEEDLESS_METADATA] or None
    for graph in model.subgraphs:
        graph.debugMetadataIndex = -1
        for tensor in graph.tensors:
            tensor.quantization = _lean_quantization(tensor.quantization)
        for operator in graph.operators or []:
            operator.debugMetadataIndex = -1
    if names != "keep":
        _rename(model, names)
    return with_entries(compactly(model, len(data)), entries_of(data)), had


def _rename(model: Any, names: Names) -> None:
    # One count for the whole file: readers put the tensors of loops beside those around them.
    inner, taken = _inner(model)
    new = short_names(taken) if names == "short" else itertools.repeat(None)
    for tensor, name in zip(inner, new, strict=False):
        tensor.name = name


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


def _inner(model: Any) -> tuple[list[Any], set[bytes]]:
    """Return the tensors that are no end of their subgraph, and the names of those that are."""
    inner, taken = [], set()
    for graph in model.subgraphs:
        ends = {*_indices(graph.inputs), *_indices(graph.outputs)}
        inner += [tensor for index, tensor in enumerate(graph.tensors) if index not in ends]
        taken |= {graph.tensors[index].name for index in ends}
    return inner, taken


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
