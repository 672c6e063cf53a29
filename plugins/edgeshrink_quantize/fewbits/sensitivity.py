"""How far a model's answers move when the weights of one layer alone are rounded."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import keras
import numpy as np

from edgeshrink.api import Agreement, Sensitivity, Width
from edgeshrink.nn import folded, predict
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


def divergence(reference: Outputs, outputs: Outputs) -> float:
    """Return how far outputs are from a reference, the worst over outputs.

    Kullback-Leibler divergence (nats, the mean over samples and their elements) where the
    reference's rows are probabilities, else the squared distance in shares of the reference's
    variance.
    """
    worst = 0.0
    for name, wanted in reference.items():
        left, right = wanted.astype("float64"), outputs[name].astype("float64")
        if left.ndim > 1 and left.min() >= 0 and np.allclose(left.sum(axis=-1), 1, atol=1e-3):
            logs = np.log(np.maximum(left, 1e-12)) - np.log(np.maximum(right, 1e-12))
            far = float((left * logs).sum(axis=-1).mean())
        else:
            far = float(np.square(left - right).mean() / (left.var() or 1.0))
        worst = max(worst, far)
    return worst


def sensitivity(
    model: keras.Model,
    inputs: Mapping[str, Path],
    compare: Callable[[Outputs, Outputs], Agreement],
    score: Callable[[Outputs], float | None],
    progress: Callable[[float], None],
) -> list[Sensitivity]:
    """Return what each layer bears, in the order of layers.

    Batch norms are folded first, as they are in the file. Layers without kernels, recurrent
    layers and embeddings are not among them: nothing stores those in fewer than 8 bits.

    Args:
        model: left as it was.
        inputs: for each input a .npy file.
        compare: tells how alike two models' outputs are.
        score: scores outputs, if there are labels.
        progress: told the share done.
    """

    def verdict(reference: Outputs, outputs: Outputs) -> tuple[float, float | None, float | None]:
        agreed = compare(reference, outputs).top1
        return divergence(reference, outputs), agreed, score(outputs)

    model = folded(model)
    layers = by_layer(channel_kernels(model))
    widths = {bits: partial(_at_width, bits=bits) for bits in WIDTHS}
    found = []
    for name, verdicts in measured(model, layers, widths, inputs, verdict, progress).items():
        count = sum(math.prod(kernel.variable.shape) for kernel in layers[name])
        told = [Width(bits, -(-count * bits // 8), *verdicts[bits]) for bits in WIDTHS]
        found.append(Sensitivity(name, count, tuple(told)))
    return found


def assign(kernels: Sequence[ChannelKernel], columns: Sequence[np.ndarray]) -> None:
    """Set the weights of kernels from their columns."""
    for kernel, values in zip(kernels, columns, strict=True):
        kernel.assign(values)


def _at_width(kernel: ChannelKernel, bits: int) -> np.ndarray:
    return at_width(kernel.columns(), bits)
