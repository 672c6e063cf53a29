"""Shared values: weights that take few distinct values keep them while they are trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from edgeshrink.nn.graph import quantized_weights
from edgeshrink.nn.learning.reparameterization import Forward, straight_through

MOST_SHARED_VALUES = 256  # distinct values of a tensor, or channel, whose sharing is on purpose
MOST_SCALED_VALUES = 128  # the same where channels scale them: 8-bit grids, of 255, are not meant
SAME = 1e-6  # of the largest weight of a channel: what is nearer was one value before it was scaled
GLANCE = 2048  # weights of which a channel is judged first: freely trained ones are told apart soon

Axes = tuple[int, ...]


class Sharing(Forward):
    """Weights that share values; their grids, when they are rounded, are those of `axes`.

    Args:
        axes: that number the channels; empty for all of the kernel.
    """

    def __init__(self, axes: Axes, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axes = axes


class Shared(Sharing):
    """Weights that are looked up in a codebook, which is trained in their place.

    Each centroid moves by the sum of its members' gradients (Han et al., ICLR 2016, "Deep
    compression", section 3.3). Zeros are no members, and stay; so does what a mask zeroes later.

    Args:
        values: the weights as they are.
        axes: that number the channels with a codebook of their own; empty for one codebook.
    """

    def __init__(self, values: np.ndarray, axes: Axes = (), **kwargs: Any) -> None:
        super().__init__(axes, **kwargs)
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


class Scaled(Sharing):
    """Weights that are looked up in one codebook, and scaled by a number of their channel.

    The codebook is trained as `Shared` trains it, and so are the scales. What is largest in a
    channel stays so, at one times its scale: 8-bit codes with a scale for each channel, that of its
    largest weight, are then the same few in all channels.

    Args:
        values: the weights as they are.
        axes: that number the channels.
    """

    def __init__(self, values: np.ndarray, axes: Axes, **kwargs: Any) -> None:
        super().__init__(axes, **kwargs)
        found, largest = scaled_levels(values, axes)
        self.levels = Shared(found)
        self.ends = keras.Variable(
            np.where(np.abs(found) == 1, found, 0), trainable=False, name="ends"
        )
        self.scales = self.add_weight(
            shape=largest.shape,
            initializer=lambda shape, dtype=None: ops.convert_to_tensor(largest, dtype),
            name="scales",
        )
        self.built = True

    def call(self, master: Any) -> Any:
        """Return each weight's level times its channel's scale, or zero where the master is."""
        levels = self.levels(master)
        within = straight_through(levels, ops.clip(levels, -1.0, 1.0))
        ends = ops.where(master != 0, self.ends, 0.0)
        return ops.where(ends != 0, ends, within) * ops.abs(self.scales)


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


def scaled_levels(values: np.ndarray, axes: Axes) -> tuple[np.ndarray, np.ndarray]:
    """Return weights as parts of the largest of their channel, and what is largest in each.

    Parts that differ by a millionth at most, as rounding makes them, are made one.

    Args:
        values: of a kernel.
        axes: that number the channels.

    Returns:
        The parts, from -1 to 1, of the kernel's shape, and the largest absolute values, of a shape
        that broadcasts to it; 1 for channels of zeros.
    """
    rows = channel_rows(values, axes)
    largest = np.abs(rows).max(axis=1, keepdims=True, initial=0)
    largest[largest == 0] = 1
    parts, places = np.unique((rows / largest).astype("float64"), return_inverse=True)
    groups = np.cumsum(np.diff(parts, prepend=parts[:1]) > SAME)
    means = np.bincount(groups, parts) / np.bincount(groups)
    means[np.abs(means) < SAME] = 0
    means = np.where(np.abs(means) > 1 - SAME, np.sign(means), means)
    levels = means[groups][places.reshape(-1)].reshape(rows.shape).astype(values.dtype)
    channels = {axis % values.ndim for axis in axes}
    shape = [size if axis in channels else 1 for axis, size in enumerate(values.shape)]
    return from_rows(levels, values.shape, axes), largest.reshape(shape).astype(values.dtype)


def scaled_values(values: np.ndarray, axes: Axes) -> int:
    """Return how many values other than zero channels share but for a scale; 0 if they do not.

    Args:
        values: of a kernel.
        axes: that number the channels.
    """
    rows = channel_rows(values, axes)
    if len(rows) < 2 or _distinct(rows[:, :GLANCE]).max(initial=0) > MOST_SCALED_VALUES:
        return 0
    whole = int(_distinct(rows.reshape(1, -1))[0])
    count = int(_distinct(scaled_levels(values, axes)[0].reshape(1, -1))[0])
    # by two weights on average, and by channels, which with codebooks of their own have most alone
    fewer = 4 * count <= 3 * whole and 2 * count <= int(np.count_nonzero(rows))
    shared = count <= MOST_SCALED_VALUES and fewer
    return count if shared else 0


def shared_values(model: keras.Model) -> Mapping[str, Sequence[Sharing]]:
    """Return the functions that keep the shared values of a model's kernels while it trains.

    Values other than zero are shared if there are 256 at most, each for two weights or more on
    average. They are looked for in all of a kernel but for a scale of each output channel first,
    where that makes them half as many, then in all of it, and then within its output channels.

    Args:
        model: any Keras model.

    Returns:
        For each kernel with shared values a list of one function, by the kernel's path, as
        `Reparameterized` takes it.
    """
    channels = {id(variable): axes for variable, axes in quantized_weights(model).values()}
    found: dict[str, Sequence[Sharing]] = {}
    for variable in model.trainable_variables:
        if len(variable.shape) < 2:
            continue
        values, axes = np.asarray(variable), channels.get(id(variable), ())
        if axes and scaled_values(values, axes):
            found[variable.path] = [Scaled(values, axes)]
        elif is_shared(values):
            found[variable.path] = [Shared(values)]
        elif axes and is_shared(values, axes):
            found[variable.path] = [Shared(values, axes)]
    return found


def shares_tensors(model: keras.Model) -> bool:
    """Return whether a model has a kernel with values that are shared all over it.

    Such a kernel needs one scale for all of it when it is quantized, not one for each channel.

    Args:
        model: any Keras model.
    """
    found = [held for (held,) in shared_values(model).values()]
    # a kernel of one channel may have either
    alone = any(isinstance(held, Scaled) for held in found)
    return not alone and any(held.axes == () for held in found)


def shares_but_for_scales(model: keras.Model) -> bool:
    """Return whether a model has a kernel whose channels share values but for a scale of each.

    Such a kernel needs a scale for each channel when it is quantized.

    Args:
        model: any Keras model.
    """
    return any(isinstance(held, Scaled) for (held,) in shared_values(model).values())


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
