"""Which layers can be factored: their kernels as one array, and where they are multiplied."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import keras
import numpy as np

from edgeshrink.nn import Shape, layer_calls, macs_of, uses_of

CONVOLUTIONS = (keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D)
RECURRENT = (keras.layers.LSTM, keras.layers.GRU, keras.layers.SimpleRNN)


@dataclass(frozen=True, eq=False)
class Site:
    """A layer whose kernel can be a product of smaller ones.

    Attributes:
        path: names of the nested models and the layer, joined with `/`.
        layer: as it is in the model.
        kernel: `(*window, inputs, outputs)` in float64; of a recurrent layer the input kernels
            of all its cells side by side.
        calls: shapes of input and output of each use of the layer, batch first.
        macs: multiply-accumulates of the whole layer, over all its uses.
        fixed: those of them that stay: a recurrent kernel's.
    """

    path: str
    layer: Any
    kernel: np.ndarray
    calls: tuple[tuple[Shape, Shape], ...]
    macs: int
    fixed: int = 0

    @property
    def window(self) -> tuple[int, ...]:
        """The kernel's size in space or time; of a dense layer empty."""
        return tuple(self.kernel.shape[:-2])

    @property
    def inputs(self) -> int:
        """Channels or features that the kernel takes in."""
        return int(self.kernel.shape[-2])

    @property
    def outputs(self) -> int:
        """Channels, units or gates that the kernel makes."""
        return int(self.kernel.shape[-1])

    @cached_property
    def energy(self) -> float:
        """The sum of the kernel's squares."""
        return float(np.square(self.kernel).sum())

    def places(self, size: Callable[[tuple[int, ...], tuple[int, ...]], tuple[int, ...]]) -> int:
        """Return how many places a part of the layer is computed in, over all its uses.

        Args:
            size: of that part's output, from the sizes of the layer's input and output without
                batch and channels.
        """
        return sum(
            math.prod(size(self._inner(given), self._inner(made))) for given, made in self.calls
        )

    def _inner(self, shape: Shape) -> tuple[int, ...]:
        """Return a shape without batch and channels; what is dynamic counts as one."""
        first = getattr(self.layer, "data_format", None) == "channels_first"
        return tuple(d or 1 for d in (shape[2:] if first else shape[1:-1]))


def sites(model: keras.Model) -> tuple[list[Site], dict[str, str]]:
    """Return the layers of a model that can be factored, and why others with kernels cannot.

    Args:
        model: nested models are opened, a shared layer comes once.

    Returns:
        The sites, in the model's order, and reasons by the path of a layer.
    """
    uses: dict[int, tuple[str, Any, list[tuple[Shape, Shape]]]] = {}
    for path, layer, inputs, output in layer_calls(model):
        if any(True for _ in uses_of(layer, inputs, output)):
            if cells_of(layer):  # which may give its last step alone
                output = inputs[0]
            uses.setdefault(id(layer), (path, layer, []))[2].append((inputs[0], output))
    found, left = [], {}
    for path, layer, shapes in uses.values():
        if reason := _obstacle(layer):
            left[path] = reason
            continue
        total = sum(macs_of(layer, [given], made) for given, made in shapes)
        kernel = np.concatenate([np.asarray(v, "float64") for v in input_kernels(layer)], axis=-1)
        cells = sum(
            math.prod(cell.recurrent_kernel.shape) * (given[1] or 1)
            for cell in cells_of(layer)
            for given, _ in shapes
        )
        found.append(Site(path, layer, kernel, tuple(shapes), total, cells))
    return found, left


def cells_of(layer: Any) -> list[Any]:
    """Return the cells of a recurrent layer, both of a bidirectional one; of others none."""
    if isinstance(layer, keras.layers.Bidirectional):
        return [layer.forward_layer.cell, layer.backward_layer.cell]
    return [layer.cell] if isinstance(layer, keras.layers.RNN) else []


def input_kernels(layer: Any) -> list[keras.Variable]:
    """Return the kernels that meet a layer's input."""
    return [part.kernel for part in cells_of(layer) or [layer]]


def _obstacle(layer: Any) -> str:
    """Return why a layer cannot be factored; empty if it can."""
    if isinstance(layer, keras.layers.Bidirectional):
        both = (layer.forward_layer, layer.backward_layer)
        return "" if all(type(one) in RECURRENT for one in both) else _no_form(both[0])
    if type(layer) not in (keras.layers.Dense, *CONVOLUTIONS, *RECURRENT):
        return _no_form(layer)
    if getattr(layer, "groups", 1) > 1:
        return "its channels are in groups, which are small already"
    return ""


def _no_form(layer: Any) -> str:
    return f"a {type(layer).__name__} has no factored form in plain Keras layers here"


def reasons(left: Mapping[str, str]) -> str:
    """Return which layers stay for which reason, in one sentence."""
    together: dict[str, list[str]] = {}
    for path, reason in left.items():
        together.setdefault(reason, []).append(path)
    return "; ".join(f"{', '.join(paths)} ({reason})" for reason, paths in together.items())
