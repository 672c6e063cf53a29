"""Which .npy file feeds which input of a .tflite file, and whether its samples fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from tokenize import TokenError
from typing import Any
from zipfile import BadZipFile

import numpy as np

from edgeshrink.errors import DataError, near
from edgeshrink.tflite.flat_model import FlatModel

# What numpy raises on damaged headers, beside ValueError.
HEADER_ERRORS = (SyntaxError, OverflowError, RecursionError, MemoryError, TokenError, BadZipFile)


def tensor_names(flat: FlatModel) -> tuple[dict[str, int], dict[str, int]]:
    """Return the tensors of a model's inputs and outputs by their names.

    The names are those of the first signature that runs the first subgraph; without one, those of
    the tensors themselves.

    Args:
        flat: the model.

    Returns:
        Two mappings, of inputs and of outputs: from the name to the tensor's index in the first
        subgraph.
    """
    for signature in flat.signatures:
        if signature.subgraph == 0:
            return dict(signature.inputs), dict(signature.outputs)
    return {t.name: t.index for t in flat.inputs}, {t.name: t.index for t in flat.outputs}


def matched_files(inputs: Mapping[str, Path], known: Mapping[str, int]) -> dict[str, Path]:
    """Return the files in the order of the model's inputs, by the names of these.

    A single file for a single input is taken under any name.

    Args:
        inputs: .npy files by name.
        known: the model's inputs, as `tensor_names` returns them.

    Raises:
        DataError: a name is none of the model's, or one of the model's is missing.
    """
    if len(inputs) == len(known) == 1:
        return dict(zip(known, inputs.values(), strict=True))
    for name in inputs:
        if name not in known:
            raise DataError(f"the model has no input {name!r}", hint=near(name, known))
    missing = [name for name in known if name not in inputs]
    if missing:
        raise DataError(f"the model also takes {', '.join(map(repr, missing))}")
    return {name: inputs[name] for name in known}


def count_samples(flat: FlatModel, chosen: Mapping[str, Path], known: Mapping[str, int]) -> int:
    """Return how many samples the files hold for each input, at least 1.

    Args:
        flat: the model.
        chosen: for each input a .npy file `(samples, ...)` of numbers or booleans.
        known: the model's inputs, as `tensor_names` returns them.

    Raises:
        DataError: a file is no array of numbers, its samples do not have the shape of the input,
            or the files differ in their number of samples or have none.
    """
    counts = {}
    for name, path in chosen.items():
        array = _mapped(path)
        tensor = flat.tensor(0, known[name])
        wanted = tensor.shape_signature[1:]
        if array.dtype.kind not in "fiub":
            raise DataError(f"{path} holds {array.dtype}, not numbers")
        given = array.shape[1:]
        fits = len(given) == len(wanted) and all(
            w in (-1, g) for w, g in zip(wanted, given, strict=True)
        )
        if not array.ndim or not fits:
            raise DataError(
                f"the input {name!r} takes samples of shape {_shape(wanted)}; "
                f"received {_shape(given)} in {path.name}",
                hint="the first dimension of a .npy file counts the samples",
            )
        counts[name] = len(array)
    if len(set(counts.values())) != 1 or 0 in counts.values():
        told = ", ".join(f"{name!r} {count}" for name, count in counts.items())
        raise DataError(f"all inputs need the same number of samples, at least one; got {told}")
    return next(iter(counts.values()))


def _mapped(path: Path) -> np.ndarray[Any, Any]:
    """Return the array of a .npy file, whose values are read as they are needed."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError, TypeError, *HEADER_ERRORS) as error:
        raise DataError(f"{path} is not a .npy file: {error}") from error
    if not isinstance(array, np.ndarray):  # an .npz file, or another zip archive
        raise DataError(
            f"{path} is an archive, not a .npy file", hint="numpy.save writes one array"
        )
    return array


def _shape(shape: Sequence[int]) -> str:
    return f"({', '.join('any' if n < 0 else str(n) for n in shape)})"
