"""Quantization-aware training: a fake-quantized twin that shares the plain model's variables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import keras
import numpy as np

from edgeshrink.api import Context, ModelError, UsageError, near
from edgeshrink.nn import (
    Forward,
    Grid,
    LearnedStep,
    Scaled,
    calibrated_ranges,
    finetune,
    folded,
    quantized_weights,
    shared_values,
    twin,
    written_out,
)

if TYPE_CHECKING:
    from edgeshrink_quantize.options import QatOptions

FIRST_SAMPLES = 512  # training samples that give the ranges their first ends


def trained(model: keras.Model, options: QatOptions, context: Context) -> keras.Model:
    """Return the folded model after training as its twin, its weights on their grids.

    Weights and activations are rounded in the forward pass (Jacob et al., CVPR 2018, section 3),
    zeros stay zeros and shared values shared. The ends of the activations are left in
    `context.state`, as `ranges/NAME` with the names of the twin, for the conversion.

    Raises:
        ModelError: nothing in the model is quantized.
    """
    assert context.data is not None
    part = context.data.train
    assert part is not None
    plain = folded(model)
    samples = context.data.values(part, np.arange(min(FIRST_SAMPLES, len(part))))
    ranges: dict[str, np.ndarray] = {}
    if options.activations != 32:
        seen_ends = calibrated_ranges(plain, samples)
        ranges = written_out(plain, seen_ends, samples, context.folder, context.log)
    seen, placed = twin(
        plain,
        _chains(plain, options),
        ranges,
        bits=options.activations,
        ends=options.ends,
    )
    finetune(seen, context)
    seen.settle()
    context.state.update({f"ranges/{name}": range_.values for name, range_ in placed.items()})
    context.facts["trained_quantized"] = f"{options.weights}-bit weights"
    context.facts["activation_bits"] = options.activations
    return plain


def _chains(model: keras.Model, options: QatOptions) -> dict[str, Sequence[Forward]]:
    """Return what weights are computed through, by path: sharing, and then a grid."""
    weights, sharing = quantized_weights(model), shared_values(model)
    if not weights:
        raise ModelError("no layer of the model has weights that are quantized")
    layers = {path.rsplit("/", 2)[-2] for path in weights}
    for name in options.keep:
        if name not in layers:
            raise UsageError(f"no layer {name!r} has quantized weights", hint=near(name, layers))
    found: dict[str, Sequence[Forward]] = dict(sharing)
    for path, (variable, axes) in weights.items():
        bits = 8 if path.rsplit("/", 2)[-2] in options.keep else options.weights
        held = sharing.get(path, ())
        grain = (held[0].axes if held else axes) if options.granularity == "channel" else ()
        # the scale of a channel that shares values is learned there, and decides the step
        if options.steps == "learned" and not any(isinstance(one, Scaled) for one in held):
            grid: Forward = LearnedStep(np.asarray(variable), bits, grain)
        else:
            grid = Grid(bits, grain)
        found[path] = [*held, grid]
    return found
