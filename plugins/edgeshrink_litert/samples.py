"""Match samples with a model's inputs, and describe its tensors to the runner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeshrink.api import DataError, ModelError, near

if TYPE_CHECKING:
    from edgeshrink.nn.flat import FlatModel


def read_model(path: Path) -> tuple[bytes, FlatModel]:
    """Return a file's bytes and what they say.

    Raises:
        ModelError: the file cannot be read, or is no .tflite file.
    """
    from edgeshrink.nn import flat

    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}") from error
    return data, flat.read(data)


def names(flat: FlatModel) -> tuple[dict[str, int], dict[str, int]]:
    """Return the tensors of inputs and outputs by the names that the signature gives them."""
    for signature in flat.signatures:
        if signature.subgraph == 0:
            return dict(signature.inputs), dict(signature.outputs)
    return {t.name: t.index for t in flat.inputs}, {t.name: t.index for t in flat.outputs}


def described(flat: FlatModel, tensors: Mapping[str, int]) -> list[dict[str, Any]]:
    """Return what the runner has to know of inputs or outputs, as plain JSON values."""
    found = []
    for name, index in tensors.items():
        tensor = flat.tensor(0, index)
        found.append(
            {
                "name": name,
                "tensor": index,
                "dtype": tensor.dtype,
                "shape": list(tensor.shape),
                "scale": tensor.scales[0] if tensor.scales else 0.0,
                "zero_point": tensor.zero_points[0] if tensor.zero_points else 0,
            }
        )
    return found


def matched(inputs: Mapping[str, Path], known: Mapping[str, int]) -> dict[str, Path]:
    """Return the files in the model's order; a single one needs no name.

    Raises:
        DataError: a name is unknown or missing.
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


def count(flat: FlatModel, chosen: Mapping[str, Path], known: Mapping[str, int]) -> int:
    """Return the number of samples.

    Raises:
        DataError: a file is no array of numbers, or its samples do not fit the input.
    """
    import numpy as np

    counts = {}
    for name, path in chosen.items():
        try:
            array = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise DataError(f"{path} is not a .npy file: {error}") from error
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
        told = ", ".join(f"{name!r} {number}" for name, number in counts.items())
        raise DataError(f"all inputs need the same number of samples, at least one; got {told}")
    return next(iter(counts.values()))


def _shape(shape: Sequence[int]) -> str:
    return f"({', '.join('any' if n < 0 else str(n) for n in shape)})"
