"""Which layers stay at 8 bits: those that few bits hurt most."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import keras
import numpy as np

from edgeshrink.api import Context, UsageError, near
from edgeshrink.nn.predict import predict
from edgeshrink.nn.synthetic import synthetic_inputs
from edgeshrink_quantize.channels import ChannelKernel
from edgeshrink_quantize.rounding import rounded

# What kept layers may add, as a share of what all kernels take in few bits.
BUDGET = 0.1
# Divergence below which a layer is not worth keeping.
HARMLESS = 0.01


def kept(
    model: keras.Model,
    kernels: Sequence[ChannelKernel],
    keep: Sequence[str],
    bits: int,
    method: str,
    context: Context,
    progress: Callable[[float], None],
) -> set[str]:
    """Return the names of the layers that stay at 8 bits.

    Args:
        model: left as it was.
        kernels: of the model.
        keep: names of layers, or `("none",)`, or `("auto",)` for those that are most hurt on
            calibration samples, or on made-up inputs where there are none.
        bits: of the others.
        method: how they are rounded, a key of `rounding.STEPS`.
        context: data, and notes.
        progress: told the share done.

    Raises:
        UsageError: a name is no layer's.
    """
    if tuple(keep) == ("none",):
        return set()
    if tuple(keep) != ("auto",):
        return named(kernels, keep, f"--int{bits}-keep")
    found = harms(
        model,
        kernels,
        partial(rounded, bits=bits, method=method),
        _inputs(model, context),
        progress,
    )
    sizes: Counter[str] = Counter()
    for kernel in kernels:
        sizes[kernel.layer.name] += int(np.prod(kernel.variable.shape))
    chosen = most_hurt(found, sizes, bits)
    if chosen:
        told = ", ".join(f"{name} ({found[name]:.3f})" for name in sorted(chosen))
        context.notes.append(f"kept at 8 bits, by what {bits} bits alone would do: {told}")
    return chosen


def _inputs(model: keras.Model, context: Context) -> Mapping[str, Path]:
    data = context.data
    if data is not None and data.calibration is not None:
        return data.write_inputs(data.calibration, context.folder / "calibration")
    return synthetic_inputs(model, context.folder / "synthetic", seed=context.seed)


def named(kernels: Sequence[ChannelKernel], names: Sequence[str], option: str) -> set[str]:
    """Return the names of layers, having checked that they have kernels.

    Raises:
        UsageError: a name is none of theirs.
    """
    known = {kernel.layer.name for kernel in kernels}
    for name in names:
        if name not in known:
            hint = near(name, known, otherwise="layers: " + ", ".join(sorted(known)[:20]))
            raise UsageError(f"{option}: no layer with a kernel is named {name!r}", hint=hint)
    return set(names)


def most_hurt(harms: Mapping[str, float], sizes: Mapping[str, int], bits: int) -> set[str]:
    """Return the layers to keep at 8 bits: by harm for each byte, within the budget.

    Args:
        harms: of each layer, when it alone is put at `bits`.
        sizes: weights of each layer.
        bits: of the others.
    """
    left = BUDGET * sum(sizes.values()) * bits
    kept = set()
    for name in sorted(harms, key=lambda name: harms[name] / sizes[name], reverse=True):
        extra = sizes[name] * (8 - bits)
        if harms[name] > HARMLESS and extra <= left:
            kept.add(name)
            left -= extra
    return kept


def harms(
    model: keras.Model,
    kernels: Sequence[ChannelKernel],
    to_grid: Callable[[np.ndarray], np.ndarray],
    inputs: Mapping[str, Path],
    progress: Callable[[float], None],
) -> dict[str, float]:
    """Return how far the outputs move when the kernels of one layer alone are rounded.

    Args:
        model: left as it was.
        kernels: of the model.
        to_grid: gives columns on their grid.
        inputs: for each input a .npy file.
        progress: told the share done.

    Returns:
        The divergence by layer, at least 0.
    """
    reference = predict(model, inputs)
    layers: dict[str, list[ChannelKernel]] = {}
    for kernel in kernels:
        layers.setdefault(kernel.layer.name, []).append(kernel)
    found = {}
    for place, (name, own) in enumerate(layers.items()):
        before = [kernel.columns() for kernel in own]
        for kernel, columns in zip(own, before, strict=True):
            kernel.assign(to_grid(columns))
        found[name] = divergence(reference, predict(model, inputs))
        for kernel, columns in zip(own, before, strict=True):
            kernel.assign(columns)
        progress((place + 1) / len(layers))
    return found


def divergence(reference: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray]) -> float:
    """Return how far outputs are from a reference, the worst over outputs.

    Kullback-Leibler divergence (nats, the mean over samples) where the reference's rows are
    probabilities, else the squared distance in shares of the reference's variance.
    """
    worst = 0.0
    for name, wanted in reference.items():
        left, right = wanted.astype("float64"), outputs[name].astype("float64")
        if left.ndim == 2 and left.min() >= 0 and np.allclose(left.sum(axis=1), 1, atol=1e-3):
            logs = np.log(np.maximum(left, 1e-12)) - np.log(np.maximum(right, 1e-12))
            far = float((left * logs).sum(axis=1).mean())
        else:
            far = float(np.square(left - right).mean() / (left.var() or 1.0))
        worst = max(worst, far)
    return worst
