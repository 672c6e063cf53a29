"""Arrays as they are stored, before any split, and what their content is known by."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from edgeshrink.samples.files.tree import File, octets
from edgeshrink.samples.subset import Source, chunks

if TYPE_CHECKING:
    import numpy as np

    from edgeshrink.errors import DataError


@dataclass(frozen=True)
class Stored:
    """Arrays as they are stored.

    Attributes:
        inputs: arrays by part ("train", "val", "test", or "" for not yet split) and input name.
        labels: the same for labels; the name is "" where a model has one output.
        fingerprint: returns the SHA-256 of the content, in hex.
        notes: what was found, in sentences.
        read: how, where that decides the values: for images `resize` and `decoder`.
        spans: of the part "", where samples must not be split at random: `(samples, 3)`, the
            number of what a sample belongs to, its first row, and the row behind its last.
        grouped: whether what samples belong to is what splits them; else the rows do, in time.
        truth: by part what judges samples and is no label of an output.
        unlabelled: what is wrong where a part has no labels and another has; None where all have.
        kind: what options of reading it goes by, of those that `reading.py` names.
    """

    inputs: Mapping[str, Mapping[str, Source]]
    labels: Mapping[str, Mapping[str, np.ndarray[Any, Any]]]
    fingerprint: Callable[[], str]
    class_names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    read: Mapping[str, str] = field(default_factory=dict)
    spans: np.ndarray[Any, Any] | None = None
    grouped: bool = False
    truth: Mapping[str, np.ndarray[Any, Any]] = field(default_factory=dict)
    unlabelled: DataError | None = None
    kind: str = ""


def file_digest(files: Iterable[tuple[str, File]]) -> str:
    """Return the SHA-256 of files and their names; an empty name does not count."""
    whole = hashlib.sha256()
    for name, file in files:
        if name:
            whole.update(name.encode() + b"\0")
        for block in octets(file):
            whole.update(block)
    return whole.hexdigest()


def array_digest(arrays: Mapping[str, Source]) -> str:
    """Return the SHA-256 of arrays by name: in a file or in memory, the same ones have the same.

    Args:
        arrays: by name; read a piece at a time.
    """
    whole = hashlib.sha256()
    for key in sorted(arrays):
        array = arrays[key]
        whole.update(f"{key} {array.dtype} {array.shape}\0".encode())
        if array.shape:
            for rows in chunks(array):
                whole.update(array[rows].tobytes())
    return whole.hexdigest()
