"""Each precision: what is asked of the converter, and how its candidates are chosen between."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

import keras
import numpy as np

from edgeshrink.api import Context, VerificationError
from edgeshrink.nn.convert import convert
from edgeshrink.nn.converter import Conversion
from edgeshrink.nn.flat import float_operators, read

if TYPE_CHECKING:
    from edgeshrink_quantize import Int8Options


def float32(model: keras.Model, context: Context) -> bytes:
    """Return the model as it is, converted."""
    context.facts["quantization"] = "float32"
    return _made(model, {"float32": Conversion()}, context)


def float16(model: keras.Model, context: Context) -> bytes:
    """Return the model with its weights as 16-bit floats."""
    context.facts["quantization"] = "float16 weights"
    return _made(model, {"float16": Conversion(weights="float16")}, context)


def dynamic(model: keras.Model, granularity: str, context: Context) -> bytes:
    """Return the model with 8-bit weights and float activations."""
    context.facts["quantization"] = "int8 weights, dynamic range"
    wants = {
        grain: Conversion(weights="int8", per_channel=grain == "channel")
        for grain in _grains(granularity)
    }
    return _made(model, wants, context)


def int8(model: keras.Model, options: Int8Options, context: Context) -> bytes:
    """Return the model computed in 8-bit integers, calibrated on the calibration samples.

    Raises:
        VerificationError: operators stayed in float where they are refused.
    """
    context.facts["quantization"] = "int8, static"
    wants = {
        grain: Conversion("int8", "int8", options.io, per_channel=grain == "channel")
        for grain in _grains(options.granularity)
    }
    samples = _calibration(context)
    if options.io == "uint8":
        samples = _with_all_bytes(samples, context)
    made = _made(model, wants, context, samples)
    left = [f"{operator.name}: {reason}" for operator, reason in float_operators(read(made))]
    if left and options.float_ops == "refuse":
        raise VerificationError(
            f"--int8-float-ops refuse, and {len(left)} operators stayed in float: "
            + "; ".join(left[:5]),
            hint="drop --int8-float-ops refuse, or replace those layers",
        )
    context.facts["float_operators"] = left
    if left:
        context.notes.append(f"{len(left)} operators stayed in float: {'; '.join(left[:5])}")
    return made


def int16x8(model: keras.Model, context: Context) -> bytes:
    """Return the model with 16-bit activations and 8-bit weights."""
    context.facts["quantization"] = "int8 weights, int16 activations"
    want = Conversion("int8", "int16", "float32")
    return _made(model, {"int16x8": want}, context, _calibration(context))


def _grains(granularity: str) -> tuple[str, ...]:
    return ("channel", "tensor") if granularity == "auto" else (granularity,)


def _made(
    model: keras.Model,
    wants: Mapping[str, Conversion],
    context: Context,
    samples: Mapping[str, np.ndarray] | None = None,
) -> bytes:
    """Return the chosen one of the files that the converter makes."""
    context.progress(0.0, "converting")
    if samples is not None:
        context.facts["calibration_samples"] = len(next(iter(samples.values())))
    made = convert(model, wants, context.folder, samples, context.log)
    if len(made) == 1:
        return next(iter(made.values()))
    context.progress(0.8, "comparing candidates")
    return _chosen(made, context)


def _calibration(context: Context) -> dict[str, np.ndarray]:
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


def _chosen(made: Mapping[str, bytes], context: Context) -> bytes:
    """Return the smallest candidate among those that agree with float as well as the best does.

    As well means: within one standard error of the best share of agreement.
    """
    agreed, wrong = {}, {}
    for name, data in made.items():
        try:
            agreed[name] = context.agreement(data)
        except VerificationError as error:
            wrong[name] = error
    if not agreed:
        raise next(iter(wrong.values()))
    context.notes += [f"scales for each {name} were ruled out: {e}" for name, e in wrong.items()]
    shares = {name: agreement.share for name, agreement in agreed.items()}
    samples = next(iter(agreed.values())).samples
    best = max(shares.values())
    slack = math.sqrt(max(best * (1 - best), 1 / samples) / samples)
    good = [name for name, share in shares.items() if share >= best - slack]
    sizes = {name: len(zlib.compress(made[name], 9)) for name in shares}
    chosen = min(good, key=lambda name: (sizes[name], len(made[name])))
    told = "; ".join(
        f"{name}: {shares[name]:.2%} agreement, {sizes[name]:,} bytes compressed" for name in shares
    )
    context.facts["granularity"] = chosen
    context.notes.append(f"scales for each {chosen} were chosen ({told})")
    return made[chosen]
