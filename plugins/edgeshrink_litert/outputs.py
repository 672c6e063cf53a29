"""Fetch a device's outputs: no more bytes than they can have, and only in their own shape."""

from __future__ import annotations

import hashlib
import math
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from edgeshrink.api import CommandFailed, Target

if TYPE_CHECKING:
    import numpy as np

    from edgeshrink.tflite import FlatModel

FLOAT32_BYTES = 4
# numpy's header takes 128 bytes, in the largest case a few hundred.
HEADER_BYTES = 1024
# Where a model computes the shape of an output, nobody knows its size before.
LARGEST_UNKNOWN = 1 << 30


def expected_shape(flat: FlatModel, index: int, samples: int) -> tuple[int | None, ...] | None:
    """Return the shape of an output for all samples: None for a dimension that is not known.

    Returns:
        The shape, or None where even the number of dimensions is not known.
    """
    tensor = flat.tensor(0, index)
    free = any(-1 in t.shape_signature[1:] for t in flat.inputs)
    if not tensor.shape:
        return None
    batched = tensor.shape[0] == 1
    row = tensor.shape_signature[1:] if batched else tensor.shape_signature
    return samples, *(None if free or n < 0 else n for n in row)


def fetch(
    target: Target, remote: str, shape: tuple[int | None, ...] | None, samples: int, digest: str
) -> np.ndarray:
    """Return an output that lies on the device.

    Args:
        target: the device.
        remote: a .npy file there.
        shape: from `expected_shape`.
        samples: how many.
        digest: the SHA-256 of the file, as the runner told it.

    Raises:
        CommandFailed: it is larger than it can be, damaged, or of another shape or type.
        TargetError: the device was lost.
    """
    import numpy as np

    known = [n for n in shape if n is not None] if shape is not None else []
    fixed = shape is not None and len(known) == len(shape)
    limit = HEADER_BYTES + FLOAT32_BYTES * math.prod(known) if fixed else LARGEST_UNKNOWN
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "output.npy")
        target.pull(remote, path, limit=limit)
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != digest:
            raise CommandFailed("an output arrived damaged")
        try:
            values: np.ndarray = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError, MemoryError) as error:
            raise CommandFailed(f"an output is no array: {error}") from error
    fits = values.shape[:1] == (samples,)
    if shape is not None:
        fits = len(shape) == values.ndim and all(
            n in (None, m) for n, m in zip(shape, values.shape, strict=True)
        )
    if values.dtype != np.float32 or not fits:
        raise CommandFailed(
            f"an output of {samples} samples must be float32 of the shape {_words(shape)}; "
            f"received {values.dtype} of {values.shape}"
        )
    return values


def _words(shape: tuple[int | None, ...] | None) -> str:
    if shape is None:
        return "that the model computes"
    return f"({', '.join('any' if n is None else str(n) for n in shape)})"
