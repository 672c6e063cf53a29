"""A .tflite with weights of few bits: rounded in Keras, converted with 8 bits, then narrowed."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import keras
import numpy as np

from edgeshrink.api import Context
from edgeshrink.nn import folded
from edgeshrink.tflite import read_model
from edgeshrink_quantize import precisions
from edgeshrink_quantize.fewbits import sensitive_layers
from edgeshrink_quantize.fewbits.channels import ChannelKernel, channel_kernels
from edgeshrink_quantize.fewbits.encoding import narrowed
from edgeshrink_quantize.fewbits.hessians import hessian
from edgeshrink_quantize.fewbits.rounding import gptq, rounded
from edgeshrink_quantize.options import Int8Options

if TYPE_CHECKING:
    from edgeshrink_quantize.options import LowBitOptions

# Of the whole step: sensitivity, then rounding, then the conversion.
MEASURED, ROUNDED = 0.3, 0.7


def narrow(
    model: keras.Model, bits: int, options: LowBitOptions, activations: str, context: Context
) -> bytes:
    """Return the .tflite of a model with kernels of `bits`.

    Kernels that lie on such a grid already, as after training on one, stay as they are; batch
    norms are folded first, since the runtime has none.

    Args:
        model: may be changed.
        bits: 2 or 4.
        options: rounding, and layers to keep at 8 bits.
        activations: `int8` or `float32`.
        context: data, progress, facts and notes.

    Raises:
        UsageError: a layer to keep does not exist.
    """
    model = folded(model)
    calibrates = context.data is not None and context.data.calibration is not None
    method = options.rounding
    if method == "auto":
        method = "gptq" if calibrates else "mse"
    kernels = [k for k in channel_kernels(model) if activations != "int8" or k.integer]
    kept = sensitive_layers.kept(
        model,
        kernels,
        options.keep,
        bits,
        method,
        context,
        lambda share: context.progress(MEASURED * share, "measuring what each layer bears"),
    )
    round_kernels(model, [k for k in kernels if k.layer.name not in kept], bits, method, context)
    context.facts |= {"rounding": method, "kept_at_8_bits": sorted(kept)}
    context.progress(ROUNDED, "converting")
    return encoded(model, bits, activations, context)


def encoded(model: keras.Model, bits: int, activations: str, context: Context) -> bytes:
    """Return the .tflite of a model, its kernels that lie on a grid in as few bits as can be.

    Args:
        model: without batch norms that could be folded.
        bits: of most kernels, for what is told.
        activations: `int8` or `float32`.
        context: data, facts and notes.
    """
    if activations == "int8":
        made = precisions.int8(model, Int8Options(granularity="channel"), context)
    else:
        made = precisions.dynamic(model, "channel", context)
    made = narrowed(made)
    context.facts["quantization"] = f"int{bits} kernels, else {context.facts['quantization']}"
    context.notes.append(_widths(made))
    return made


def round_kernels(
    model: keras.Model, kernels: list[ChannelKernel], bits: int, method: str, context: Context
) -> None:
    """Round kernels in place, in order, so that GPTQ sees what rounding before it has done."""
    samples = _samples(context) if method == "gptq" else {}
    for place, kernel in enumerate(kernels):
        share = MEASURED + (ROUNDED - MEASURED) * place / len(kernels)
        context.progress(share, f"rounding {kernel.layer.name}")
        columns = kernel.columns()
        errors = hessian(model, kernel, samples) if method == "gptq" else None
        if errors is None:
            kernel.assign(rounded(columns, bits, method))
        else:
            kernel.assign(gptq(columns, bits, errors))


def _samples(context: Context) -> dict[str, np.ndarray]:
    data = context.data
    assert data is not None
    assert data.calibration is not None
    return data.values(data.calibration, np.arange(len(data.calibration)))


def _widths(made: bytes) -> str:
    """Return a sentence on how many weights are stored in which type."""
    counts: Counter[str] = Counter()
    for tensor in read_model(made).weights:
        if len(tensor.shape) > 1:
            counts[tensor.dtype] += tensor.elements
    told = ", ".join(f"{count:,} in {name}" for name, count in counts.most_common())
    return f"weights of kernels: {told or 'none'}"
