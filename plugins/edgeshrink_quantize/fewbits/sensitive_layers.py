"""Which layers stay at 8 bits: those that few bits hurt most."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import keras
import numpy as np

from edgeshrink.api import Context, UsageError, near
from edgeshrink.nn import divergence, synthetic_inputs, unfolded_name
from edgeshrink_quantize.fewbits.channels import ChannelKernel
from edgeshrink_quantize.fewbits.rounding import rounded
from edgeshrink_quantize.fewbits.sensitivity import by_layer, measured

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
    verdicts = measured(
        model,
        by_layer(kernels),
        {bits: lambda kernel: rounded(kernel.columns(), bits, method)},
        _inputs(model, context),
        divergence,
        progress,
    )
    found = {name: widths[bits] for name, widths in verdicts.items()}
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
    """Return the names of layers of a folded model, having checked that they have kernels.

    Args:
        kernels: of the folded model.
        names: of its layers, or of those of the model that was folded.
        option: that names them, for the error.

    Raises:
        UsageError: a name is none of theirs.
    """
    folded = [kernel.layer.name for kernel in kernels]
    known = {**{unfolded_name(name): name for name in folded}, **{name: name for name in folded}}
    for name in names:
        if name not in known:
            hint = near(name, known, otherwise="layers: " + ", ".join(sorted(known)[:20]))
            raise UsageError(f"{option}: no layer with a kernel is named {name!r}", hint=hint)
    return {known[name] for name in names}


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
