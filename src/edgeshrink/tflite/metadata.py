"""Metadata in a .tflite: what MediaPipe and Android's libraries read of pixels and classes.

A flatbuffer under the name TFLITE_METADATA, by mediapipe/tasks/metadata/metadata_schema.fbs of
MediaPipe (version 1.5.0 of the schema), and the files that it names, in a zip archive behind the
model. Numbers of fields below are their places in the schema's tables; a union takes two.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import flatbuffers
import numpy as np
from flatbuffers import number_types
from flatbuffers.table import Table

from edgeshrink.errors import ModelError
from edgeshrink.tflite.archive import Entry, entries_of, stored, with_entries
from edgeshrink.tflite.reader import BROKEN, damaged, read_model, schema_model
from edgeshrink.tflite.stripping import compactly, model_tree

ENTRY, MARK = b"TFLITE_METADATA", b"M001"
PARSER = "1.0.0"  # the oldest that reads all fields that are written here
AXIS_LABELS = 2  # a type of file: a line for each value along the last axis
NORMALIZATION = 1  # a kind of process unit
IMAGE = 2  # a kind of content
CONTENTS = {1: "feature", IMAGE: "image", 3: "bounding box", 4: "audio"}
COLORS = {1: "rgb", 2: "grayscale"}


@dataclass(frozen=True)
class TensorMetadata:
    """What metadata says of one input or output.

    Attributes:
        name: as programs are told it; needs not be the tensor's own.
        content: `image`, `feature`, `bounding box` or `audio`; empty where nothing is said.
        colors: of an image: `rgb` or `grayscale`.
        mean: what is taken from pixels of 0 to 255: one number, or one a channel.
        std: what the rest is divided by, likewise; the model takes `(pixel - mean) / std`.
        labels: the name of each class, in the order of the output's values.
    """

    name: str
    content: str = ""
    colors: str = ""
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class ModelMetadata:
    """What metadata says of a model.

    Attributes:
        inputs: of the first subgraph, in order.
        outputs: likewise.
        name: of the model.
        description: of the model, in words.
        files: names of the files behind it, which writing makes of the labels.
    """

    inputs: tuple[TensorMetadata, ...]
    outputs: tuple[TensorMetadata, ...]
    name: str = ""
    description: str = ""
    files: tuple[str, ...] = ()


def with_metadata(data: bytes, metadata: ModelMetadata) -> bytes:
    """Return a model with metadata, in place of any that it had; it computes what it did.

    Args:
        data: the bytes of a .tflite file.
        metadata: has as many inputs and outputs as the model. Floats are stored in 32 bits.

    Raises:
        ModelError: the bytes are no .tflite file, a damaged one, one of over 2 GB, or one with
            another number of inputs or outputs.
    """
    from ai_edge_litert import schema_py_generated as schema

    flat = read_model(data)
    ends = len(flat.inputs), len(flat.outputs)
    if (len(metadata.inputs), len(metadata.outputs)) != ends:
        raise ModelError(
            f"metadata must tell of each input and output: the model has {ends[0]} and {ends[1]}, "
            f"the metadata {len(metadata.inputs)} and {len(metadata.outputs)}"
        )
    try:
        model = model_tree(data)
        named = schema.MetadataT(name=ENTRY, buffer=len(model.buffers))
        model.buffers.append(schema.BufferT(data=np.frombuffer(_written(metadata), np.uint8)))
        model.metadata = [m for m in model.metadata or [] if m.name != ENTRY] + [named]
        flatbuffer = compactly(model, len(data))
    except BROKEN as error:
        raise damaged(error) from error
    files = _label_files(metadata)
    others = [entry for entry in entries_of(data) if entry[0].filename not in files]
    made = [stored(name, "\n".join(labels).encode()) for name, labels in files.items()]
    return with_entries(flatbuffer, [*others, *made])


def read_metadata(data: bytes) -> ModelMetadata | None:
    """Return what a .tflite file says of its pixels and classes; None where it has no metadata.

    Args:
        data: the bytes of the file.

    Raises:
        ModelError: the bytes are no .tflite file, or the metadata or its files are damaged.
    """
    model = schema_model(data)
    try:
        buffers = [
            model.Metadata(place).Buffer()
            for place in range(model.MetadataLength())
            if model.Metadata(place).Name() == ENTRY
        ]
        if not buffers:
            return None
        written = model.Buffers(buffers[0]).DataAsNumpy().tobytes()
        if written[4:8] != MARK:
            raise ValueError(f"metadata begins with {written[4:8]!r}, not {MARK!r}")
        entries = entries_of(data)
        return _Reader(written, entries).model()
    except BROKEN as error:
        raise damaged(error) from error


def _label_files(metadata: ModelMetadata) -> dict[str, tuple[str, ...]]:
    """Return the labels by the name of their file."""
    return {
        _label_file(place): tensor.labels
        for place, tensor in enumerate(metadata.outputs)
        if tensor.labels
    }


def _label_file(place: int) -> str:
    return f"labels_{place}.txt" if place else "labels.txt"


def _written(metadata: ModelMetadata) -> bytes:
    """Return the flatbuffer; what a table points at is written before it."""
    to = flatbuffers.Builder(256)
    inputs = _tables(to, [_tensor(to, tensor, "") for tensor in metadata.inputs])
    outputs = _tables(
        to, [_tensor(to, tensor, _label_file(n)) for n, tensor in enumerate(metadata.outputs)]
    )
    graph = _tables(to, [_table(to, {2: inputs, 3: outputs})])
    texts = {0: metadata.name, 1: metadata.description, 7: PARSER}
    places = {slot: to.CreateString(text) for slot, text in texts.items() if text}
    to.Finish(_table(to, {**places, 3: graph}), MARK)
    return bytes(to.Output())


def _tensor(to: Any, tensor: TensorMetadata, file: str) -> int:
    fields = {0: to.CreateString(tensor.name)}
    if tensor.content:
        kinds = {name: number for number, name in CONTENTS.items()}
        colors = {name: number for number, name in COLORS.items()}
        told = _table(to, {}, {0: colors[tensor.colors]} if tensor.colors else {})
        fields[3] = _table(to, {1: told}, {0: kinds[tensor.content]})
    if tensor.mean:
        mean, std = (
            to.CreateNumpyVector(np.array(v, np.float32)) for v in (tensor.mean, tensor.std)
        )
        options = _table(to, {0: mean, 1: std})
        fields[4] = _tables(to, [_table(to, {1: options}, {0: NORMALIZATION})])
    if tensor.labels:
        name = to.CreateString(file)
        fields[6] = _tables(to, [_table(to, {0: name}, {2: AXIS_LABELS})])
    return _table(to, fields)


def _table(to: Any, places: Mapping[int, int], numbers: Mapping[int, int] | None = None) -> int:
    """Write a table: fields that are elsewhere, by their place, and small numbers."""
    numbers = numbers or {}
    to.StartObject(max([*places, *numbers], default=-1) + 1)
    for slot, place in places.items():
        to.PrependUOffsetTRelativeSlot(slot, place, 0)
    for slot, number in numbers.items():
        to.PrependUint8Slot(slot, number, 0)
    return int(to.EndObject())


def _tables(to: Any, places: Sequence[int]) -> int:
    to.StartVector(4, len(places), 4)
    for place in reversed(places):
        to.PrependUOffsetTRelative(place)
    return int(to.EndVector())


class _Reader:
    """Walks the tables; a damaged file cannot make it look at more of them than it has room for."""

    def __init__(self, written: bytes, entries: Sequence[Entry]) -> None:
        self.written, self.left = written, len(written)
        self.files = {entry.filename: content for entry, content in entries}

    def model(self) -> ModelMetadata:
        root = Table(self.written, int.from_bytes(self.written[:4], "little"))
        graphs = self.tables(root, 3)
        inputs, outputs = ((), ()) if not graphs else (self.tables(graphs[0], n) for n in (2, 3))
        return ModelMetadata(
            tuple(map(self.tensor, inputs)),
            tuple(map(self.tensor, outputs)),
            self.text(root, 0),
            self.text(root, 1),
            tuple(self.files),
        )

    def tensor(self, table: Any) -> TensorMetadata:
        content = self.table(table, 3)
        kind = self.number(content, 0) if content else 0
        told = self.table(content, 1) if content else None
        units = [u for u in self.tables(table, 4) if self.number(u, 0) == NORMALIZATION]
        options = self.table(units[0], 1) if units else None
        names = [
            self.text(file, 0)
            for file in self.tables(table, 6)
            if self.number(file, 2) == AXIS_LABELS
        ]
        return TensorMetadata(
            self.text(table, 0),
            CONTENTS.get(kind, ""),
            COLORS.get(self.number(told, 0), "") if told and kind == IMAGE else "",
            self.floats(options, 0) if options else (),
            self.floats(options, 1) if options else (),
            self.labels(names[0]) if names else (),
        )

    def labels(self, name: str) -> tuple[str, ...]:
        if name not in self.files:
            raise ValueError(f"metadata names the file {name!r}, which is not behind the model")
        return tuple(self.files[name].decode("utf-8", "replace").removesuffix("\n").split("\n"))

    def place(self, table: Any, slot: int) -> int:
        found = table.Offset(4 + 2 * slot)
        return int(table.Pos + found) if found else 0

    def text(self, table: Any, slot: int) -> str:
        place = self.place(table, slot)
        return table.String(place).decode("utf-8", "replace") if place else ""

    def number(self, table: Any, slot: int) -> int:
        place = self.place(table, slot)
        return int(table.Get(number_types.Uint8Flags, place)) if place else 0

    def floats(self, table: Any, slot: int) -> tuple[float, ...]:
        if not self.place(table, slot):
            return ()
        field = table.Offset(4 + 2 * slot)
        start, count = table.Vector(field), table.VectorLen(field)
        return tuple(np.frombuffer(self.written, "<f4", count, start).tolist())

    def table(self, table: Any, slot: int) -> Any:
        place = self.place(table, slot)
        return Table(self.written, table.Indirect(place)) if place else None

    def tables(self, table: Any, slot: int) -> list[Any]:
        if not self.place(table, slot):
            return []
        field = table.Offset(4 + 2 * slot)
        start, count = table.Vector(field), table.VectorLen(field)
        self.left -= count
        if self.left < 0:
            raise ValueError("more tables than the metadata has room for")
        return [Table(self.written, table.Indirect(start + 4 * n)) for n in range(count)]
