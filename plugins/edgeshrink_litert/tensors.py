"""Read a .tflite file, and describe its tensors to the runner."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeshrink.tflite import is_packed, tflite_bytes

if TYPE_CHECKING:
    from edgeshrink.tflite import FlatModel
    from edgeshrink_litert.conversation import Conversation


def read_model(path: Path) -> tuple[bytes, FlatModel]:
    """Return the bytes of a .tflite file, packed or not, and what they say.

    Raises:
        ModelError: the file cannot be read, or is no .tflite file.
    """
    from edgeshrink.tflite import read_model

    data = tflite_bytes(path)
    return data, read_model(data)


def placed(runner: Conversation, path: Path) -> dict[str, Any]:
    """Put a model on the device; return its path there, and whether the runner must unpack it.

    A Python without numpy cannot unpack, so there the file is put unpacked.
    """
    packed = is_packed(path.read_bytes(), path)
    if packed and not runner.unpacks:
        data = tflite_bytes(path)
        path = Path(runner.folder.name, f"{hashlib.sha256(data).hexdigest()[:16]}.tflite")
        path.write_bytes(data)
        packed = False
    return {"path": runner.target.place(path), "packed": packed}


def described(flat: FlatModel, tensors: Mapping[str, int]) -> list[dict[str, Any]]:
    """Return what the runner has to know of inputs or outputs, as plain JSON values."""
    found = []
    for name, index in tensors.items():
        tensor = flat.tensor(0, index)
        found.append(
            {
                "name": name,
                "tensor": index,
                "label": tensor.name,
                "dtype": tensor.dtype,
                "shape": list(tensor.shape),
                "scale": tensor.scales[0] if tensor.scales else 0.0,
                "zero_point": tensor.zero_points[0] if tensor.zero_points else 0,
            }
        )
    return found
