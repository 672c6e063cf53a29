"""Whether a converted file kept what the model had: zeros, and shared values."""

from __future__ import annotations

import keras
import numpy as np

from edgeshrink.errors import VerificationError
from edgeshrink.nn.conversion.pairing import pairs
from edgeshrink.nn.learning import MOST_SHARED_VALUES, Scaled, shared_values
from edgeshrink.tflite import read_model


def check_zeros(model: keras.Model, data: bytes) -> float:
    """Return the sparsity of a converted file's weights, having checked that zeros are kept.

    Args:
        model: what was converted.
        data: the file.

    Raises:
        VerificationError: where a kernel has a zero, what it became has another number.
    """
    for pair in pairs(model, data):
        zero = pair.kernel == 0
        lost = int(np.count_nonzero(pair.stored[zero]))
        if lost:
            raise VerificationError(
                f"zeros must stay zero: of {int(zero.sum())} in {pair.path}, {lost} are other "
                "numbers in the converted file"
            )
    weights = [
        t
        for t in read_model(data).tensors
        if t.constant and len(t.shape) >= 2 and t.nonzeros is not None
    ]
    elements = sum(t.elements for t in weights)
    nonzeros = sum(int(t.nonzeros or 0) for t in weights)
    return 1 - nonzeros / elements if elements else 0.0


def check_clusters(model: keras.Model, data: bytes) -> None:
    """Check that no kernel with few distinct values has more in a converted file.

    Of a kernel that the file holds in several tensors, each has codes of its own.

    Args:
        model: what was converted.
        data: the file.

    Raises:
        VerificationError: shared values were lost.
    """
    scaled = {
        path: int(held.levels.centroids.shape[0])
        for path, (held,) in shared_values(model).items()
        if isinstance(held, Scaled)
    }
    for pair, (kernel, codes) in ((p, part) for p in pairs(model, data) for part in p.by_tensor):
        distinct, now = len(np.unique(kernel)), len(np.unique(codes))
        if codes.dtype.kind == "i" and (few := scaled.get(pair.path, 0)):
            distinct = few + (not kernel.all())
        if distinct <= MOST_SHARED_VALUES and now > distinct:
            raise VerificationError(
                f"shared values must stay shared: {pair.path} had {distinct} distinct values, the "
                f"converted file has {now} in its place",
                hint="other scales than those that they were shared with part them: leave the "
                "granularity at auto",
            )
