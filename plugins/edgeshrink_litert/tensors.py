"""Read a .tflite file, and describe its tensors to the runner."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeshrink.api import ModelError

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
