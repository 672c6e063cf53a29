"""Bias correction: the mean error of rounding is taken back from each layer's bias."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from edgeshrink.api import Context
from edgeshrink.nn import folded
from edgeshrink_quantize.posttraining.layerwise import assign_rounded, rounded_kernels, walk
from edgeshrink_quantize.precisions import calibration

if TYPE_CHECKING:
    from edgeshrink_quantize.options import GridOptions


def corrected(model: keras.Model, options: GridOptions, context: Context) -> keras.Model:
    """Return the folded model, its biases less the mean error that rounding brings.

    Rounded weights shift the mean of a layer's outputs. The shift is measured on calibration
    samples behind layers that are rounded and corrected already, and subtracted (Nagel et al.,
    ICCV 2019, section 4.2 and appendix D, "empirical"). A layer without a bias stays as it is.
    """
    plain = folded(model)
    rounded = folded(plain)
    kernels = rounded_kernels(rounded, options.weights, options.granularity)
    shifts: list[float] = []

    def work(original: Any, copy: Any, float_inputs: Any, inputs: Any) -> None:
        before = linear_mean(original, float_inputs)
        assign_rounded(copy, options.weights, kernels)
        if not copy.use_bias:
            return
        error = linear_mean(copy, inputs) - before
        shifts.append(float(np.abs(error).mean() / (np.abs(before).mean() + 1e-12)))
        copy.bias.assign(copy.bias - error)
        original.bias.assign(original.bias - error)

    # `plain` is run before anything is corrected, so its biases may change on the way
    walk(plain, rounded, calibration(context), options.activations, context, work)
    context.facts["corrected_biases"] = len(shifts)
    if shifts:
        context.notes.append(
            f"biases corrected: {len(shifts)}; rounding had shifted the mean of a layer by "
            f"{np.median(shifts):.2%} of its size (median), {max(shifts):.2%} (worst)"
        )
    else:
        context.notes.append("no dense layer or convolution has a bias: nothing was corrected")
    return plain


def linear_mean(layer: Any, inputs: Any) -> np.ndarray:
    """Return the mean of each output channel in front of the activation, float64 `(channels,)`.

    The layer is linear there: the mean of its outputs is its output for the mean of its inputs.
    """
    config = {**layer.get_config(), "activation": "linear", "name": "mean"}
    bare = type(layer).from_config(config)
    mean = keras.ops.mean(inputs, axis=0, keepdims=True)
    bare.build(mean.shape)
    bare.set_weights(layer.get_weights())
    made = np.asarray(bare(mean), "float64")
    return made.reshape(-1, made.shape[-1]).mean(axis=0)
