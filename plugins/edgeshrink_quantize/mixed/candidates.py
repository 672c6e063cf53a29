"""Files of one model whose layers differ in bits: what they would take, and made, what they do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np

from edgeshrink.api import Agreement, Context, ModelError
from edgeshrink.nn import divergence, folded, predict, synthetic_inputs
from edgeshrink.tflite import strip
from edgeshrink_quantize import precisions
from edgeshrink_quantize.fewbits.channels import TRANSPOSED, ChannelKernel, channel_kernels
from edgeshrink_quantize.fewbits.encoding import DEQUANTIZE_BYTES
from edgeshrink_quantize.fewbits.grids import steps
from edgeshrink_quantize.fewbits.hessians import hessian
from edgeshrink_quantize.fewbits.narrowing import encoded
from edgeshrink_quantize.fewbits.operators import OPERATORS
from edgeshrink_quantize.fewbits.rounding import gptq, rounded
from edgeshrink_quantize.fewbits.sensitivity import (
    WIDTHS,
    assign,
    at_width,
    by_layer,
    measured,
)
from edgeshrink_quantize.mixed.allocation import Choice
from edgeshrink_quantize.options import FloatOptions

# Validation samples that layers are measured on.
SAMPLES = 500
# Of the whole step: measuring; then each file.
MEASURED, EACH = 0.4, 0.075
WORST = 1e3  # of a loss: where the model answers no numbers any more, it would be infinite
DEPTHWISE = (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D)


@dataclass(frozen=True, eq=False)
class Candidate:
    """A file, stripped and run.

    Attributes:
        bits: of each layer.
        data: the .tflite.
        names: what it lost when it was stripped.
        moved: divergence of the Keras model with all layers rounded.
        agreed: the file, with the step's input model.
        lost: points of score, or of agreement where there is none.
        facts: that the conversion left.
        notes: that the conversion left.
    """

    bits: Mapping[str, int]
    data: bytes
    names: Mapping[str, Any]
    moved: float
    agreed: Agreement
    lost: float
    facts: Mapping[str, Any]
    notes: Sequence[str]

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self.data)


class Candidates:
    """Makes files of one model, and runs them.

    Raises `ModelError` for a model without kernels that fewer than 8 bits could store.

    Attributes:
        choices: what each layer could have, and what it alone would lose, by layer.
        loses: what `Candidate.lost` counts: `score` or `agreement`.
        rounding: how weights find their codes.
    """

    def __init__(
        self, model: keras.Model, rounding: str, activations: str, context: Context
    ) -> None:
        data, self._samples = context.data, {}
        if data is not None and data.calibration is not None:
            self._samples = data.values(data.calibration, np.arange(len(data.calibration)))
        self.rounding = rounding
        if rounding == "auto":
            self.rounding = "gptq" if self._samples else "mse"
        self._errors: tuple[ChannelKernel | None, np.ndarray | None] = None, None
        self._score = context.evaluate(model)
        if self._score is not None and not 0 <= self._score <= 1:
            self._score = None  # an error in units of its own has no points
        self.loses = "agreement" if self._score is None else "score"
        self._activations, self._context, self._made = activations, context, 0
        self._model = folded(model)
        self._layers = by_layer(channel_kernels(self._model))
        if not self._layers:
            raise ModelError(
                "no layer has weights that could be stored in fewer than 8 bits",
                hint="choose --int8 or --dynamic",
            )
        self._weights = {n: [k.columns() for k in own] for n, own in self._layers.items()}
        self._inputs = _inputs(self._model, context)
        self._outputs = predict(self._model, self._inputs)
        self.choices = self._choices()

    def _choices(self) -> dict[str, list[Choice]]:
        def tell(share: float) -> None:
            self._context.progress(MEASURED * share, "measuring what each layer bears")

        tell(0.0)
        widths = {bits: partial(self._rounded, bits=bits) for bits in WIDTHS}
        losses = measured(self._model, self._layers, widths, self._inputs, divergence, tell)
        integer = self._activations == "int8"
        return {
            name: [
                Choice(
                    bits, sum(stored_bytes(k, bits, integer=integer) for k in own), min(loss, WORST)
                )
                for bits, loss in losses[name].items()
            ]
            for name, own in self._layers.items()
        }

    def make(self, bits: Mapping[str, int]) -> Candidate:
        """Return the file with so many bits for each layer."""
        context, told = self._context, sorted(set(bits.values()))
        share = min(MEASURED + EACH * self._made, 1.0)
        self._made += 1
        context.progress(share, f"making and running a file of {listed(told)} bits")
        quiet = replace(context, facts={}, notes=[], progress=lambda share, note: None)
        self._restore()
        for name, own in self._layers.items():
            for kernel in own:
                kernel.assign(self._rounded(kernel, bits[name]))
            self._errors = None, None  # those after see what was done to these
        moved = divergence(self._outputs, predict(self._model, self._inputs))
        made = encoded(self._model, told[0], self._activations, quiet)
        data, names = strip(made)
        agreed = context.agreement(data)
        score = None if self._score is None else context.evaluate(data)
        lost = 1 - agreed.share if self._score is None or score is None else self._score - score
        return Candidate(bits, data, names, moved, agreed, 100 * lost, quiet.facts, quiet.notes)

    def float_bytes(self) -> int:
        """Return what the model takes in float, stripped."""
        self._restore()
        quiet = replace(self._context, facts={}, notes=[], progress=lambda share, note: None)
        return len(strip(precisions.float32(self._model, FloatOptions(), quiet))[0])

    def _rounded(self, kernel: ChannelKernel, bits: int) -> np.ndarray:
        """Return a kernel's columns as the file will hold them."""
        columns = kernel.columns()
        if bits == 8:
            return at_width(columns, bits)
        if self.rounding == "gptq":
            if self._errors[0] is not kernel:
                self._errors = kernel, hessian(self._model, kernel, self._samples)
            if self._errors[1] is not None:
                return gptq(columns, bits, self._errors[1])
        return rounded(columns, bits, self.rounding)

    def _restore(self) -> None:
        self._errors = None, None
        for name, own in self._layers.items():
            assign(own, self._weights[name])


def stored_bytes(kernel: ChannelKernel, bits: int, *, integer: bool) -> int:
    """Return what the file needs for a kernel that is rounded to so many bits.

    Args:
        kernel: whose weights may lie on a grid of fewer bits already, and are then stored so.
        bits: 8, 4 or 2; what the runtime cannot run in so few is stored in more.
        integer: whether activations are 8-bit integers.
    """
    columns = kernel.columns()
    on_grid = (b for b in (2, 4) if not np.isnan(steps(columns, b)).any())
    bits = min(bits, next(on_grid, 8))
    whole = columns.size
    takes = OPERATORS[_operator(kernel)]
    versions = takes.integer if integer else takes.hybrid
    if integer:
        bits = min((held for held in versions if held >= bits), default=8)
    fewer = -(-whole * bits // 8)
    if bits == 8 or bits in versions:
        return fewer
    return min(whole, fewer + DEQUANTIZE_BYTES)


def listed(words: Sequence[Any]) -> str:
    """Return words as in a sentence.

    Example:
        >>> listed([2, 4, 8])
        '2, 4 and 8'
    """
    *first, last = map(str, words)
    return f"{', '.join(first)} and {last}" if first else last


def _operator(kernel: ChannelKernel) -> str:
    if isinstance(kernel.layer, keras.layers.Dense):
        return "FULLY_CONNECTED"
    if isinstance(kernel.layer, TRANSPOSED):
        return "TRANSPOSE_CONV"
    depthwise = getattr(kernel.layer, "depthwise_kernel", None)
    if isinstance(kernel.layer, DEPTHWISE) or kernel.variable is depthwise:
        return "DEPTHWISE_CONV_2D"
    return "CONV_2D"


def _inputs(model: keras.Model, context: Context) -> Mapping[str, Path]:
    data = context.data
    part = None if data is None else data.validation or data.calibration
    if data is None or part is None:
        return synthetic_inputs(model, context.folder / "synthetic", seed=context.seed)
    return data.write_inputs(part.subset(part.rows[:SAMPLES]), context.folder / "measured")
