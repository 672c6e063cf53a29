"""Fake quantization: numbers rounded as an integer runtime will round them, while they train."""

from __future__ import annotations

import math
from typing import Any, Literal

import keras
import numpy as np
from keras import ops

from edgeshrink.nn.learning.reparameterization import Forward, straight_through


def largest_code(bits: int) -> int:
    """Return the greatest code of a symmetric grid: 127 for 8 bits, 7 for 4, 1 for 2.

    Args:
        bits: of a code, at least 2.
    """
    return int(2 ** (bits - 1) - 1)


class Grid(Forward):
    """A weight on the symmetric grid between its greatest magnitudes, as converters choose it.

    Jacob et al., CVPR 2018, section 3, with a zero point of 0. Zeros stay zeros.

    Args:
        bits: of a code.
        axes: that number the channels with a grid of their own; empty for one grid.
    """

    def __init__(self, bits: int, axes: tuple[int, ...], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.bits, self.axes = bits, axes

    def call(self, master: Any) -> Any:
        """Return the nearest points of the grid, with the gradient of `master`.

        Args:
            master: the weight.
        """
        rest = _rest(len(master.shape), self.axes)
        largest = ops.max(ops.abs(master), axis=rest, keepdims=True)
        step = ops.maximum(largest, 1e-12) / largest_code(self.bits)
        return straight_through(master, ops.round(master / step) * step)


class LearnedStep(Forward):
    """A weight on a symmetric grid whose step is learned (LSQ: Esser et al., ICLR 2020, eq. 1-5).

    The step begins at `2 mean|w| / sqrt(Q)`, or at `max|w| / (8 Q)` where that is more, and gets
    its gradient divided by `sqrt(N Q)`. Q is the greatest code, N the number of weights of a step.

    Args:
        values: the weight as it is, which the step begins with.
        bits: of a code.
        axes: that number the channels with a step of their own; empty for one step.
    """

    def __init__(self, values: np.ndarray, bits: int, axes: tuple[int, ...], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.largest = largest_code(bits)
        rest = _rest(values.ndim, axes)
        step = 2 * np.abs(values).mean(axis=rest, keepdims=True) / math.sqrt(self.largest)
        step = np.maximum(step, np.abs(values).max(axis=rest, keepdims=True) / (8 * self.largest))
        self.damping = 1 / math.sqrt(self.largest * max(1, values.size // step.size))
        self.step = self.add_weight(
            shape=step.shape,
            initializer=lambda shape, dtype=None: ops.convert_to_tensor(
                np.maximum(step, 1e-9), dtype
            ),
            name="step",
        )
        self.built = True

    def call(self, master: Any) -> Any:
        """Return the nearest points of the grid; what lies beyond its ends is clipped.

        Args:
            master: the weight.
        """
        whole = ops.abs(self.step) + 1e-12
        step = straight_through(whole * self.damping, whole)  # the value, a damped gradient
        scaled = ops.clip(master / step, -self.largest, self.largest)
        return straight_through(scaled, ops.round(scaled)) * step


class Range(keras.layers.Layer):
    """Activations rounded to the codes between two ends, zero among them.

    Args:
        low: the least value.
        high: the greatest.
        bits: of a code.
        ends: `learned` by gradient (PACT: Choi et al., 2018, eq. 3, at both ends), `moving`
            averages of each batch's ends (Jacob et al., CVPR 2018, section 3.1), or `fixed`.
    """

    MOMENTUM = 0.99

    def __init__(
        self,
        low: float,
        high: float,
        bits: int = 8,
        ends: Literal["learned", "moving", "fixed"] = "moving",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.bits, self.ends = bits, ends
        low, high = min(low, 0.0), max(high, 0.0, low + 1e-6)
        self.low, self.high = (
            self.add_weight(
                shape=(),
                initializer=keras.initializers.Constant(value),
                trainable=ends == "learned",
                name=name,
            )
            for name, value in (("low", low), ("high", high))
        )
        self.built = True

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Return the inputs, rounded and clipped; gradients pass where nothing is clipped."""
        import tensorflow as tf

        if training and self.ends == "moving":
            for end, seen in ((self.low, ops.min(inputs)), (self.high, ops.max(inputs))):
                seen = ops.minimum(seen, 0.0) if end is self.low else ops.maximum(seen, 0.0)
                end.assign(self.MOMENTUM * end + (1 - self.MOMENTUM) * seen)
        low = ops.minimum(ops.convert_to_tensor(self.low), 0.0)
        high = ops.maximum(ops.convert_to_tensor(self.high), low + 1e-6)
        return tf.quantization.fake_quant_with_min_max_vars(
            inputs, low, ops.maximum(high, 0.0), num_bits=self.bits
        )

    @property
    def values(self) -> np.ndarray:
        """The ends, float32 `(2,)`."""
        return np.array([min(float(self.low), 0.0), max(float(self.high), 0.0)], "float32")

    def compute_output_spec(self, inputs: Any, training: bool | None = None) -> Any:
        """Return what comes out: what goes in."""
        return keras.KerasTensor(inputs.shape, inputs.dtype)


def _rest(dimensions: int, axes: tuple[int, ...]) -> tuple[int, ...]:
    kept = {axis % dimensions for axis in axes}
    return tuple(axis for axis in range(dimensions) if axis not in kept)
