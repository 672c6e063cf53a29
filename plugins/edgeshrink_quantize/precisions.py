"""Each precision: what is asked of the converter."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import keras
import numpy as np

from edgeshrink.api import Context, ConversionError, VerificationError
from edgeshrink.nn import (
    Conversion,
    convert,
    learned_ends,
    loops,
    matched_ranges,
    recurrent_layers,
    shares_but_for_scales,
    shares_tensors,
)
from edgeshrink.tflite import Ranges, Use, float_operators, read_model
from edgeshrink_quantize.choosing import chosen
from edgeshrink_quantize.dynamic_range import grain
from edgeshrink_quantize.estimators import estimated
from edgeshrink_quantize.sparsity import without_zeros
from edgeshrink_quantize.unrolling import unrolled

if TYPE_CHECKING:
    from edgeshrink_quantize.options import FloatOptions, Int8Options

# What LSTM layers become where that fits them.
FUSED = Use("UNIDIRECTIONAL_SEQUENCE_LSTM")


def float32(model: keras.Model, options: FloatOptions, context: Context) -> bytes:
    """Return the model as it is, converted."""
    context.facts["quantization"] = "float32"
    return _floats(model, Conversion(fuse=_fuses(model, context)), options, context)


def float16(model: keras.Model, options: FloatOptions, context: Context) -> bytes:
    """Return the model with its weights as 16-bit floats."""
    context.facts["quantization"] = "float16 weights"
    want = Conversion(weights="float16", fuse=_fuses(model, context))
    return _floats(model, want, options, context)


def _floats(model: keras.Model, want: Conversion, options: FloatOptions, context: Context) -> bytes:
    if options.sparse:
        return without_zeros(model, want, context)
    return _made(model, {want.weights: want}, context)


def dynamic(model: keras.Model, granularity: str, context: Context) -> bytes:
    """Return the model with 8-bit weights and float activations."""
    context.facts["quantization"] = "int8 weights, dynamic range"
    fuse = _fuses(model, context)
    wants = {
        one: Conversion(weights="int8", per_channel=one == "channel", fuse=fuse)
        for one in _grains(grain(granularity, context.profile), model, context)
    }
    return _made(model, wants, context)


def int8(model: keras.Model, options: Int8Options, context: Context) -> bytes:
    """Return the model computed in 8-bit integers, calibrated on the calibration samples.

    Raises:
        VerificationError: operators stayed in float where they are refused.
    """
    context.facts["quantization"] = "int8, static"
    fuse = _fuses(model, context)
    wants = {
        one: Conversion("int8", "int8", options.io, per_channel=one == "channel", fuse=fuse)
        for one in _grains(options.granularity, model, context)
    }
    samples = calibration(context)
    if options.io == "uint8":
        samples = _with_all_bytes(samples, context)
    try:
        made = _integer(model, wants, samples, context, options.ranges)
    except ConversionError as error:
        if not recurrent_layers(model) or options.io != "float32" or options.float_ops == "refuse":
            raise
        return _dynamic_instead(model, options.granularity, error, context)
    left = [f"{operator.name}: {reason}" for operator, reason in float_operators(read_model(made))]
    if left and options.float_ops == "refuse":
        raise VerificationError(
            f"--int8-float-ops refuse, and {len(left)} operators stayed in float: "
            + "; ".join(left[:5]),
            hint="drop --int8-float-ops refuse, or replace those layers",
        )
    context.facts["float_operators"] = left
    if left:
        context.notes.append(f"operators that stayed in float: {len(left)}, {'; '.join(left[:5])}")
    return made


def int16x8(model: keras.Model, context: Context) -> bytes:
    """Return the model with 16-bit activations and 8-bit weights."""
    context.facts["quantization"] = "int8 weights, int16 activations"
    by_channel = not shares_tensors(model)
    wants = {"int16x8": Conversion("int8", "int16", "float32", per_channel=by_channel, fuse=False)}
    try:
        return _integer(model, wants, calibration(context), context)
    except ConversionError as error:
        if not recurrent_layers(model):
            raise
        return _dynamic_instead(model, "auto", error, context)


def _integer(
    model: keras.Model,
    wants: Mapping[str, Conversion],
    samples: Mapping[str, np.ndarray],
    context: Context,
    estimator: str = "minmax",
) -> bytes:
    """Return the file with integer activations; loops are unrolled where that is worth it."""
    left = loops(model, fuse=all(want.fuse for want in wants.values()))
    if not left:
        return _made(model, wants, context, samples, estimator)
    context.facts["calibration_samples"] = len(next(iter(samples.values())))
    made = unrolled(model, wants, samples, left, context)
    if estimator != "minmax":
        context.notes.append(f"ranges of unrolled layers are the ends seen, not {estimator}")
    return made


def _dynamic_instead(
    model: keras.Model, granularity: str, error: ConversionError, context: Context
) -> bytes:
    """Return a recurrent model in dynamic range, where its activations cannot be integers.

    Raises:
        ConversionError: the device has no kernels for dynamic range either.
    """
    if "dynamic" not in context.profile.precisions:
        raise error
    context.facts.pop("calibration_samples", None)
    context.notes.append(f"the activations stayed in float (dynamic range): {error}")
    return dynamic(model, granularity, context)


def _fuses(model: keras.Model, context: Context) -> bool:
    """Return whether LSTM layers become the fused operator, and note where a reader forbids it."""
    refused = context.profile.refused([FUSED])
    if refused and (layers := {one.layer for one in loops(model, fuse=False)}):
        layers -= {one.layer for one in loops(model)}
        if layers:
            context.notes.append(f"{'; '.join(refused)}: no such operator for {', '.join(layers)}")
    return not refused


def _grains(granularity: str, model: keras.Model, context: Context) -> tuple[str, ...]:
    """Return the granularities to choose between."""
    if granularity != "auto":
        return (granularity,)
    if shares_tensors(model):
        return ("tensor",)  # with a scale for each channel, shared values are shared no longer
    if shares_but_for_scales(model):
        return ("channel",)  # and those that channels scale, with one scale for all
    return ("channel",) if context.inherited else ("channel", "tensor")  # as it was trained


def _made(
    model: keras.Model,
    wants: Mapping[str, Conversion],
    context: Context,
    samples: Mapping[str, np.ndarray] | None = None,
    estimator: str = "minmax",
) -> bytes:
    """Return the chosen one of the files that the converter makes."""
    context.progress(0.0, "converting")
    if samples is not None:
        context.facts["calibration_samples"] = len(next(iter(samples.values())))
    ranges = _ranges(model, samples, estimator, context)
    made = convert(model, wants, context.folder, samples, context.log, ranges)
    return chosen(made, context)


def _ranges(
    model: keras.Model,
    samples: Mapping[str, np.ndarray] | None,
    estimator: str,
    context: Context,
) -> Callable[[bytes], Ranges] | None:
    """Return what finds the ranges: those that came with a trained model go before estimates."""
    ends = learned_ends(context.inherited)
    if samples is None:
        return None
    if ends:
        return lambda calibrated: matched_ranges(calibrated, model, ends, samples)
    if estimator == "minmax":
        return None
    context.facts["ranges"] = estimator
    return lambda calibrated: estimated(calibrated, samples, estimator, context.progress)


def calibration(context: Context) -> dict[str, np.ndarray]:
    """Return the calibration samples as the model sees them, by input name."""
    data = context.data
    assert data is not None
    assert data.calibration is not None
    return data.values(data.calibration, np.arange(len(data.calibration)))


def _with_all_bytes(samples: dict[str, np.ndarray], context: Context) -> dict[str, np.ndarray]:
    """Return the samples with bytes 0 and 255 among those of each input that is stored as bytes.

    The range of the input is then that of all bytes, so that a camera's bytes are the quantized
    input as they are, where every channel is scaled alike. Two values of one sample change.
    """
    data = context.data
    assert data is not None
    assert data.calibration is not None
    for name, column in data.calibration.inputs.items():
        if column.dtype == np.uint8:
            stored = column.take(np.arange(1)).copy()
            stored.reshape(-1)[[0, -1]] = 0, 255
            samples[name] = samples[name].copy()
            samples[name][:1] = data.preprocess(stored)
    return samples
