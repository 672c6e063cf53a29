"""The kernels of a Keras model that take few bits, seen as one column for each output channel."""

from __future__ import annotations

import math
from dataclasses import dataclass

import keras
import numpy as np

from edgeshrink.nn import CHANNEL_AXES

TRANSPOSED = (keras.layers.Conv1DTranspose, keras.layers.Conv2DTranspose)


@dataclass(frozen=True, eq=False)
class ChannelKernel:
    """A kernel, and which of its axes number the output channels."""

    layer: keras.Layer
    variable: keras.Variable
    axes: tuple[int, ...]

    @property
    def integer(self) -> bool:
        """Whether LiteRT has a kernel for it with few bits and integer activations."""
        return not isinstance(self.layer, TRANSPOSED)

    def columns(self) -> np.ndarray:
        """Return the weights, float32 `(weights of a channel, channels)`."""
        values = np.asarray(self.variable)
        return self._moved(values).reshape(-1, self._count(values))

    def assign(self, columns: np.ndarray) -> None:
        """Set the weights from what `columns` returned, changed."""
        self.variable.assign(self.laid(columns))

    def laid(self, columns: np.ndarray) -> np.ndarray:
        """Return what is `(weights of a channel, channels)` in the shape of the variable."""
        moved = self._moved(np.asarray(self.variable))
        places = range(-len(self.axes), 0)
        return np.moveaxis(columns.reshape(moved.shape), places, self.axes)

    def _moved(self, values: np.ndarray) -> np.ndarray:
        return np.moveaxis(values, self.axes, range(-len(self.axes), 0))

    def _count(self, values: np.ndarray) -> int:
        return math.prod(values.shape[axis] for axis in self.axes)


def channel_kernels(model: keras.Model) -> list[ChannelKernel]:
    """Return the kernels of convolutions and dense layers, each once, in the order of layers.

    Layers that hold other layers (wrappers, nested models) are opened; recurrent layers,
    embeddings and norms are not among them.
    """
    found: dict[int, ChannelKernel] = {}
    for layer in model._flatten_layers(include_self=False):
        for kinds, kernels in CHANNEL_AXES.items():
            if type(layer) in kinds:
                for name, axes in kernels.items():
                    variable = getattr(layer, name)
                    found.setdefault(id(variable), ChannelKernel(layer, variable, axes))
    return list(found.values())
