"""How far a model's answers move when the weights of one layer alone are rounded."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import keras
import numpy as np

from edgeshrink.api import Changed, LayerChange
from edgeshrink.nn import folded, predict, unfolded_name
from edgeshrink_quantize.fewbits.channels import ChannelKernel, channel_kernels
from edgeshrink_quantize.fewbits.grids import steps
from edgeshrink_quantize.fewbits.rounding import rounded

WIDTHS = (8, 4, 2)
LARGEST_OF_8_BITS = 127

T = TypeVar("T")
Outputs = Mapping[str, np.ndarray]


def by_layer(kernels: Sequence[ChannelKernel]) -> dict[str, list[ChannelKernel]]:
    """Return kernels by the name of their layer, in order."""
    found: dict[str, list[ChannelKernel]] = {}
    for kernel in kernels:
        found.setdefault(kernel.layer.name, []).append(kernel)
    return found


def at_width(columns: np.ndarray, bits: int) -> np.ndarray:
    """Return columns as so many bits hold them: with least squared error, or nearest for 8 bits.

    Args:
        columns: float32 `(weights, channels)`.
        bits: 8, 4 or 2.

    Returns:
        Columns of the same shape; those that lie on a grid of fewer bits already are unchanged.
    """
    if bits < 8:
        return rounded(columns, bits, "mse")
    if not np.isnan(steps(columns, 4)).any():
        return columns  # stored by the codes of that grid
    largest = np.abs(columns).max(axis=0)
    step = np.where(largest == 0, 1, largest) / LARGEST_OF_8_BITS
    return np.asarray(np.round(columns / step) * step, "float32")


def measured(
    model: keras.Model,
    layers: Mapping[str, Sequence[ChannelKernel]],
    widths: Mapping[int, Callable[[ChannelKernel], np.ndarray]],
    inputs: Mapping[str, Path],
    verdict: Callable[[Outputs, Outputs], T],
    progress: Callable[[float], None],
) -> dict[str, dict[int, T]]:
    """Return what the model says with each layer rounded alone, as a verdict on its outputs.

    Args:
        model: left as it was.
        layers: kernels of the model, by layer.
        widths: for each number of bits, what gives a kernel's columns rounded.
        inputs: for each input a .npy file.
        verdict: is given the outputs of the model, and those with the layer rounded.
        progress: told the share done.

    Returns:
        The verdicts by layer, then by bits.
    """
    reference = predict(model, inputs)
    found: dict[str, dict[int, T]] = {}
    for place, (layer, kernels) in enumerate(layers.items()):
        before = [kernel.columns() for kernel in kernels]
        found[layer] = {}
        for bits, rounded_columns in widths.items():
            after = [rounded_columns(kernel) for kernel in kernels]
            outputs: Outputs = reference
            if not all(map(np.array_equal, before, after)):
                assign(kernels, after)
                outputs = predict(model, inputs)
                assign(kernels, before)
            found[layer][bits] = verdict(reference, outputs)
        progress((place + 1) / len(layers))
    return found


def layer_changes(model: keras.Model) -> list[LayerChange]:
    """Return the layers whose weights can have fewer bits, each alone.

    Batch norms are folded first, as they are in the file. Layers without kernels, recurrent
    layers and embeddings are not among them: nothing stores those in fewer than 8 bits.

    Args:
        model: left as it was.
    """
    names = {layer.name for layer in model._flatten_layers(include_self=False)}
    model = folded(model)
    return [
        LayerChange(
            name if name in names else unfolded_name(name), partial(_in_bits, model, kernels)
        )
        for name, kernels in by_layer(channel_kernels(model)).items()
    ]


def _in_bits(model: keras.Model, kernels: Sequence[ChannelKernel], bits: float) -> Changed:
    count = sum(math.prod(kernel.variable.shape) for kernel in kernels)
    weights = [(k.variable, k.laid(at_width(k.columns(), round(bits)))) for k in kernels]
    return Changed(model, weights, 4 * count - math.ceil(count * bits / 8))


def assign(kernels: Sequence[ChannelKernel], columns: Sequence[np.ndarray]) -> None:
    """Set the weights of kernels from their columns."""
    for kernel, values in zip(kernels, columns, strict=True):
        kernel.assign(values)
