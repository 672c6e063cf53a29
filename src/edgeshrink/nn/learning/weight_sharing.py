"""Shared values: weights that take few distinct values keep them while they are trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from edgeshrink.nn.graph import quantized_weights
from edgeshrink.nn.learning.reparameterization import Forward

MOST_SHARED_VALUES = 256  # distinct values of a tensor, or channel, whose sharing is on purpose
GLANCE = 2048  # weights of which a channel is judged first: freely trained ones are told apart soon

Axes = tuple[int, ...]


class Shared(Forward):
    """Weights that are looked up in a codebook, which is trained in their place.

    Each centroid moves by the sum of its members' gradients (Han et al., ICLR 2016, "Deep
    compression", section 3.3). Zeros are no members, and stay; so does what a mask zeroes later.

    Args:
        values: the weights as they are.
        axes: that number the channels with a codebook of their own; empty for one codebook.
    """

    def __init__(self, values: np.ndarray, axes: Axes = (), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axes = axes
        rows = channel_rows(values, axes)
        order = np.argsort(rows, axis=1, kind="stable")
        ordered = np.take_along_axis(rows, order, axis=1)
        first = _firsts(ordered)
        places = np.where(ordered != 0, np.cumsum(first).reshape(first.shape), 0)
        indices = np.empty(rows.shape, "int32")
        np.put_along_axis(indices, order, places.astype("int32"), axis=1)
        centroids = ordered[first]
        self.indices = keras.Variable(
            from_rows(indices, values.shape, axes), trainable=False, name="indices"
        )
        self.centroids = self.add_weight(
            shape=centroids.shape,
            initializer=lambda shape, dtype=None: ops.convert_to_tensor(centroids, dtype),
            name="centroids",
        )
        self.built = True

    def call(self, master: Any) -> Any:
        """Return each weight's centroid, or zero where the master is zero."""
        book = ops.pad(self.centroids, [[1, 0]])  # the value 0 of zeros is at the place 0
        values = ops.where(master != 0, ops.take(book, self.indices, axis=0), 0.0)
        return values + 0.0 * master  # a gradient of zero, where Keras warns of none


def channel_rows(values: np.ndarray, axes: Axes) -> np.ndarray:
    """Return a kernel as rows, `(channels, weights)`.

    Args:
        values: the kernel, of any shape.
        axes: that number the channels; empty for one row of all weights.
    """
    moved = np.moveaxis(values, axes, range(len(axes)))
    return moved.reshape(int(np.prod(moved.shape[: len(axes)])), -1)


def from_rows(rows: np.ndarray, shape: tuple[int, ...], axes: Axes) -> np.ndarray:
    """Return what `channel_rows` made rows of, in its own shape.

    Args:
        rows: `(channels, weights)`.
        shape: of the kernel.
        axes: that number the channels, as `channel_rows` was given them.
    """
    first = tuple(axis % len(shape) for axis in axes)
    moved = (*first, *(axis for axis in range(len(shape)) if axis not in first))
    return np.moveaxis(rows.reshape([shape[a] for a in moved]), range(len(axes)), axes)


def is_shared(values: np.ndarray, axes: Axes = ()) -> bool:
    """Return whether values other than zero are shared by at least two weights on average.

    Weights that were trained freely are all distinct, but for chance.

    Args:
        values: of a kernel.
        axes: that number the channels within which values are shared; empty for all of it.
    """
    rows = channel_rows(values, axes)
    if _distinct(rows[:, :GLANCE]).max(initial=0) > MOST_SHARED_VALUES:
        return False
    distinct = _distinct(rows)
    return bool(
        distinct.max(initial=0) <= MOST_SHARED_VALUES
        and 0 < 2 * distinct.sum() <= np.count_nonzero(rows)
    )


def shared_values(model: keras.Model) -> Mapping[str, list[Forward]]:
    """Return the functions that keep the shared values of a model's kernels while it trains.

    Values other than zero are shared if there are 256 at most, each for two weights or more on
    average. They are looked for in all of a kernel first, and then within its output channels.

    Args:
        model: any Keras model.

    Returns:
        For each kernel with shared values a list of one function, by the kernel's path, as
        `Reparameterized` takes it.
    """
    channels = {id(variable): axes for variable, axes in quantized_weights(model).values()}
    found: dict[str, list[Forward]] = {}
    for variable in model.trainable_variables:
        if len(variable.shape) < 2:
            continue
        values = np.asarray(variable)
        for axes in dict.fromkeys(((), channels.get(id(variable), ()))):
            if is_shared(values, axes):
                found[variable.path] = [Shared(values, axes)]
                break
    return found


def shares_tensors(model: keras.Model) -> bool:
    """Return whether a model has a kernel with values that are shared all over it.

    Such a kernel needs one scale for all of it when it is quantized, not one for each channel.

    Args:
        model: any Keras model.
    """
    return any(len(v.shape) >= 2 and is_shared(np.asarray(v)) for v in model.trainable_variables)


def _firsts(ordered: np.ndarray) -> np.ndarray:
    """Return where each value other than zero appears first in sorted rows."""
    new = np.ones(ordered.shape, bool)
    new[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    firsts: np.ndarray = new & (ordered != 0)
    return firsts


def _distinct(rows: np.ndarray) -> np.ndarray:
    """Return how many values other than zero each row has."""
    counts: np.ndarray = _firsts(np.sort(rows, axis=1)).sum(axis=1)
    return counts
