"""Shared values: weights that take few distinct values keep them while they are trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from edgeshrink.nn.reparam import Forward

MOST = 256  # distinct values of a tensor whose sharing is on purpose


class Shared(Forward):
    """Weights that are looked up in a codebook, which is trained in their place.

    Each centroid moves by the sum of its members' gradients (Han et al., ICLR 2016, "Deep
    compression", section 3.3). Zeros are no members, and stay.

    Args:
        values: the weights as they are.
    """

    def __init__(self, values: np.ndarray, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        centroids, places = np.unique(values[values != 0], return_inverse=True)
        indices = np.zeros(values.shape, "int32")
        indices[values != 0] = places.ravel() + 1
        self.indices = keras.Variable(indices, trainable=False, name="indices")
        self.centroids = self.add_weight(
            shape=centroids.shape,
            initializer=lambda shape, dtype=None: ops.convert_to_tensor(centroids, dtype),
            name="centroids",
        )
        self.built = True

    def call(self, master: Any) -> Any:
        """Return each weight's centroid; of the master no more than a gradient of zero is used."""
        book = ops.concatenate([ops.zeros((1,), self.centroids.dtype), self.centroids])
        return ops.take(book, self.indices, axis=0) + 0.0 * master


def is_shared(values: np.ndarray) -> bool:
    """Return whether values other than zero are shared by at least two weights on average.

    Weights that were trained freely are all distinct, but for chance.
    """
    nonzero = values[values != 0]
    distinct = len(np.unique(nonzero))
    return 0 < distinct <= MOST and 2 * distinct <= nonzero.size


def shared(model: keras.Model) -> Mapping[str, list[Forward]]:
    """Return what keeps the shared values of a model's kernels, by the kernel's path."""
    found: dict[str, list[Forward]] = {}
    for variable in model.trainable_variables:
        if len(variable.shape) >= 2 and is_shared(values := np.asarray(variable)):
            found[variable.path] = [Shared(values)]
    return found
