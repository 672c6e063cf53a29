"""Whether a converted file kept what the model had."""

from __future__ import annotations

from collections import defaultdict

import keras
import numpy as np

from edgeshrink.errors import VerificationError
from edgeshrink.nn.flat import FlatModel
from edgeshrink.nn.training import kernels


def check_zeros(model: keras.Model, flat: FlatModel) -> float:
    """Return the sparsity of a converted file's weights, having checked that zeros are kept.

    Every kernel with zeros is looked for among the file's constants by its number of elements
    (names shift in conversion, and layouts differ); none may have become denser. Kernels that
    the converter split or merged are compared by the totals.

    Raises:
        VerificationError: zeros were lost.
    """
    weights = [
        t for t in flat.tensors if t.constant and len(t.shape) >= 2 and t.nonzeros is not None
    ]
    by_size: dict[int, list[int]] = defaultdict(list)
    for tensor in weights:
        by_size[int(np.prod(tensor.shape))].append(int(tensor.nonzeros or 0))
    for size, counts in by_size.items():
        by_size[size] = sorted(counts)
    wanted: dict[int, list[tuple[int, str]]] = defaultdict(list)
    for variable in kernels(model):
        values = np.asarray(variable)
        wanted[values.size].append((int(np.count_nonzero(values)), variable.path))
    for size, kept in wanted.items():
        found = by_size.get(size, [])
        if len(found) < len(kept):
            continue  # split, merged or shared by the converter
        for (nonzeros, path), now in zip(sorted(kept), found, strict=False):
            if nonzeros < size and now > nonzeros:
                raise VerificationError(
                    f"zeros must stay zero: {path} had {nonzeros} non-zero weights, "
                    f"the converted file has {now} in its place"
                )
    elements = sum(int(np.prod(t.shape)) for t in weights)
    nonzeros = sum(int(t.nonzeros or 0) for t in weights)
    return 1 - nonzeros / elements if elements else 0.0
