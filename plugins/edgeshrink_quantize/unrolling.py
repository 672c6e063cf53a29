"""Loops written step by step, so that their activations can be integers: is it worth it?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import keras
import numpy as np

from edgeshrink.api import Context, ConversionError, VerificationError
from edgeshrink.nn import Conversion, Loop, convert
from edgeshrink.tflite import strip
from edgeshrink_quantize.choosing import chosen, least_as_good

# Bytes that a step takes in a stripped file, whatever its weights: measured with two units, in
# int8 and int16x8, and rounded down.
STEP_BYTES = {"LSTMCell": 1200, "GRUCell": 1400, "SimpleRNNCell": 300}


def unrolled(
    model: keras.Model,
    wants: Mapping[str, Conversion],
    samples: Mapping[str, np.ndarray],
    loops: Sequence[Loop],
    context: Context,
) -> bytes:
    """Return the file of a model whose loops are unrolled, if that is worth it.

    It is if the file, stripped, is not larger than that in float, and agrees with the model as
    well as that in dynamic range does.

    Args:
        model: has loops.
        wants: conversions to integer activations, by name.
        samples: to calibrate with.
        loops: of the model.
        context: measures the agreement.

    Raises:
        ConversionError: it is not, or the converter refused it; with the reason.
    """
    names = ", ".join(dict.fromkeys(loop.layer for loop in loops))
    context.progress(0.0, "converting in float, to compare with")
    room = _stripped_bytes(_converted(model, {"float": Conversion()}, context)["float"])
    told = _steps(loops)
    fewest = sum(loop.steps * STEP_BYTES.get(loop.cell, 300) for loop in loops)
    if fewest > room:
        raise ConversionError(
            f"integers need {names} unrolled, and {told} take more than {fewest:,} bytes, "
            f"where the model in float takes {room:,}"
        )
    context.progress(0.2, f"converting with {names} unrolled: {told}")
    wants = {name: replace(want, unroll=True) for name, want in wants.items()}
    candidates = _converted(model, wants, context, samples)
    made = {name: data for name, data in candidates.items() if _stripped_bytes(data) <= room}
    if not made:
        raise ConversionError(
            f"integers need {names} unrolled, and that file is larger than the model in float "
            f"({room:,} bytes)"
        )
    dynamic = _converted(model, {"dynamic": Conversion("int8")}, context)["dynamic"]
    other = context.agreement(dynamic)
    shares = {name: _share(data, context) for name, data in made.items()}
    least = least_as_good(other.share, other.samples)
    good = {name: data for name, data in made.items() if shares[name] >= least}
    if not good:
        raise ConversionError(
            f"integers need {names} unrolled, and that file agrees on "
            f"{max(shares.values()):.2%}, dynamic range on {other.share:.2%}"
        )
    context.facts["unrolled"] = sum(loop.steps for loop in loops)
    context.notes.append(f"{names} unrolled: {told}")
    return chosen(good, context)


def _steps(loops: Sequence[Loop]) -> str:
    """Return how many steps loops have, in words.

    Example:
        >>> _steps([Loop("forward", "GRUCell", 64, ""), Loop("backward", "GRUCell", 64, "")])
        '64 steps each'
    """
    counts = [loop.steps for loop in loops]
    if len(counts) == 1:
        return f"{counts[0]} steps"
    alike = len(set(counts)) == 1
    return f"{counts[0]} steps each" if alike else f"{', '.join(map(str, counts))} steps"


def _converted(
    model: keras.Model,
    wants: Mapping[str, Conversion],
    context: Context,
    samples: Mapping[str, np.ndarray] | None = None,
) -> dict[str, bytes]:
    return convert(model, wants, context.folder, samples, context.log)


def _share(data: bytes, context: Context) -> float:
    """Return the share of agreement, 0 of a file whose outputs are not finite."""
    try:
        return context.agreement(data).share
    except VerificationError:
        return 0.0


def _stripped_bytes(data: bytes) -> int:
    return len(strip(data)[0])
