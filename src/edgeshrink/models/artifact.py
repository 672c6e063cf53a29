"""A model file: its kind, digest, sizes, and where it came from."""

from __future__ import annotations

import enum
import hashlib
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any


class Kind(enum.StrEnum):
    """What a model file is, by its content.

    Attributes:
        KERAS: a .keras archive or HDF5 file that Keras 3 saved.
        KERAS2: a .keras archive or HDF5 file that an older Keras saved.
        SAVEDMODEL: the folder of a TensorFlow SavedModel.
        TFLITE: a .tflite file.
        PACKED: an .esz file, which holds a .tflite.
        SKLEARN: a fitted estimator of scikit-learn, in a file or in memory.
    """

    KERAS = "keras"
    KERAS2 = "keras2"
    SAVEDMODEL = "savedmodel"
    TFLITE = "tflite"
    PACKED = "packed"
    SKLEARN = "scikit-learn"

    @property
    def suffix(self) -> str:
        """The ending of files of this kind, such as `.keras`, `.tflite` or `.esz`."""
        return {Kind.PACKED: ".esz", Kind.SKLEARN: ".skops"}.get(self, f".{self}")


# Files that LiteRT runs, a packed one once it is unpacked.
RUNNABLE = (Kind.TFLITE, Kind.PACKED)


@dataclass(frozen=True)
class Artifact:
    """A model file and its lineage.

    Attributes:
        path: the file, or the folder of a SavedModel; what names a model that lies in no file.
        kind: what it is.
        made_by: the step that made it, such as `prune(sparsity=0.8)`; empty for the base.
        parent: what it was made from, or None for the base.
        facts: what was measured of it (sparsity, quantization, ...), as JSON values.
        state: a side file (.npz) with the arrays that travel with the model, or None.
        companions: names of further files beside it that belong to the result.
        content: of a model that lies in no file: the bytes that it would be saved as.
    """

    path: Path
    kind: Kind
    made_by: str = ""
    parent: Artifact | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    state: Path | None = None
    companions: tuple[str, ...] = ()
    content: bytes | None = field(default=None, repr=False)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of what the model is, in hex.

        For a .keras archive that is config.json and the weights, since two saves of one model
        differ in their save date; the side file counts with it.
        """
        if self.content is not None:
            return hashlib.sha256(self.content).hexdigest()
        whole = hashlib.sha256(content_digest(self.path).encode())
        if self.state is not None:
            whole.update(self.state.read_bytes())
        return whole.hexdigest()

    @property
    def lineage(self) -> tuple[Artifact, ...]:
        """This file and those that it was made from, the base last."""
        return (self, *(self.parent.lineage if self.parent else ()))

    @property
    def takes_stored(self) -> bool:
        """Whether it does the preprocessing itself, and takes samples as they are stored."""
        return any("baked" in one.facts for one in self.lineage)

    @property
    def size_bytes(self) -> int:
        """Bytes of the file, or of all files of a folder."""
        if self.content is not None:
            return len(self.content)
        return sum(p.stat().st_size for p in files_of(self.path))

    @cached_property
    def compressed_bytes(self) -> int:
        """Bytes after deflate at level 9, as a download or an app package would carry it."""
        files = (p.read_bytes() for p in files_of(self.path)) if self.content is None else ()
        whole = (self.content,) if self.content is not None else files
        return sum(len(zlib.compress(content, 9)) for content in whole)


def files_of(path: Path) -> list[Path]:
    """Return the files that make up a model: itself, or all in its folder, sorted."""
    if path.is_dir():
        return sorted(p for p in path.rglob("*") if p.is_file())
    return [path]


def content_digest(path: Path) -> str:
    """Return the SHA-256 of a model's content; a .keras archive's save date does not count."""
    if path.is_file() and _is_archive(path):
        with zipfile.ZipFile(path) as archive:
            names = [n for n in archive.namelist() if n != "metadata.json"]
            digest = hashlib.sha256()
            for name in sorted(names):
                digest.update(name.encode())
                with archive.open(name) as member:
                    while block := member.read(1 << 20):
                        digest.update(block)
            return digest.hexdigest()
    digest = hashlib.sha256()
    for file in files_of(path):
        digest.update(file.relative_to(path).as_posix().encode() if path.is_dir() else b"")
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def _is_archive(path: Path) -> bool:
    """Return whether a file is a zip from its start; a .tflite may have one at its end."""
    with path.open("rb") as stream:
        return stream.read(2) == b"PK" and zipfile.is_zipfile(path)
