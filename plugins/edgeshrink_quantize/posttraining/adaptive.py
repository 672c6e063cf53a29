"""Adaptive rounding: each weight goes up or down, whichever its layer's outputs bear best."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops

from edgeshrink.api import Context
from edgeshrink.nn import consumers, folded, functional, is_relu, largest_code, shared_values
from edgeshrink_quantize.posttraining.layerwise import assign_rounded, rounded_kernels, walk
from edgeshrink_quantize.precisions import calibration

if TYPE_CHECKING:
    from edgeshrink_quantize.options import AdaptiveOptions

BATCH = 32
RATE = 1e-2
# The stretched sigmoid reaches 0 and 1 (AdaRound, eq. 23: zeta and gamma).
STRETCH = (-0.1, 1.1)
# The exponent of the regularizer falls, so that weights decide late (section 3.2).
EXPONENTS = (20.0, 2.0)
FREE = 0.2  # of all iterations pass before the regularizer counts


def rounded(model: keras.Model, options: AdaptiveOptions, context: Context) -> keras.Model:
    """Return the folded model, its kernels on their grids, each rounded with its layer in view.

    AdaRound (Nagel et al., "Up or Down? Adaptive Rounding for Post-Training Quantization", ICML
    2020, section 3, eq. 21-25): layer by layer, behind layers that are rounded already, the
    squared error of the outputs (behind a ReLU that follows) is minimized over a relaxation of
    up and down. A layer that would come out worse than rounded to nearest is rounded to nearest.
    Kernels with shared values, and weights on the grid (zeros), stay as they are.
    """
    plain = folded(model)
    made = folded(plain)
    fixed = shared_values(made)
    kernels = {
        path: kernel
        for path, kernel in rounded_kernels(made, options.weights, options.granularity).items()
        if path not in fixed
    }
    gains: list[float] = []
    graph = functional(plain)

    def work(original: Any, copy: Any, float_inputs: Any, inputs: Any) -> None:
        behind = consumers(original, graph)
        rectified = len(behind) == 1 and is_relu(behind[0])
        wanted = _Outputs(original, rectified)(float_inputs)
        outputs = _Outputs(copy, rectified)
        found = [
            Relaxed(variable, options.weights, axes)
            for variable, axes in kernels.values()
            if any(variable is own for own in copy.trainable_variables)
        ]
        assign_rounded(copy, options.weights, kernels)
        if not any(relaxed.open.any() for relaxed in found):
            return
        nearest = _error(outputs(inputs), wanted)
        before = [np.asarray(relaxed.variable) for relaxed in found]
        _minimize(outputs, found, inputs, wanted, nearest, options.iterations, context.seed)
        for relaxed in found:
            relaxed.variable.assign(relaxed.decided())
        error = _error(outputs(inputs), wanted)
        if error >= nearest:
            for relaxed, values in zip(found, before, strict=True):
                relaxed.variable.assign(values)
        gains.append(min(1.0, error / nearest) if nearest else 1.0)

    walk(plain, made, calibration(context), options.activations, context, work)
    context.facts["adaptively_rounded"] = len(gains)
    if gains:
        context.notes.append(
            f"layers rounded adaptively: {len(gains)}; the squared error of their outputs is "
            f"{np.median(gains):.0%} of that of rounding to nearest (median)"
        )
    return made


class Relaxed:
    """A kernel between the points below and above each weight on its grid.

    Args:
        variable: the kernel, with the values that are to be rounded.
        bits: of a code.
        axes: that number the channels with a grid of their own; empty for one grid.
    """

    def __init__(self, variable: Any, bits: int, axes: tuple[int, ...]) -> None:
        values = np.asarray(variable, "float64")
        kept = {axis % values.ndim for axis in axes}
        rest = tuple(axis for axis in range(values.ndim) if axis not in kept)
        self.variable, self.most = variable, largest_code(bits)
        largest = np.abs(values).max(axis=rest, keepdims=True)
        self.step = np.where(largest == 0, 1.0, largest / self.most)
        scaled = values / self.step
        self.below = np.floor(scaled)
        part = scaled - self.below
        self.open = np.abs(scaled - np.round(scaled)) > 1e-4
        self.below = np.where(self.open, self.below, np.round(scaled))
        low, high = STRETCH
        start = np.clip((part - low) / (high - low), 1e-4, 1 - 1e-4)
        self.logit = keras.Variable(np.log(start / (1 - start)), dtype="float32", name="logit")

    def up(self) -> Any:
        """Return how far each weight is up, 0..1; weights on the grid are not."""
        low, high = STRETCH
        share = ops.clip(ops.sigmoid(self.logit) * (high - low) + low, 0.0, 1.0)
        return share * ops.convert_to_tensor(self.open.astype("float32"))

    def value(self) -> Any:
        """Return the kernel as far as it is decided."""
        codes = ops.clip(
            ops.convert_to_tensor(self.below.astype("float32")) + self.up(), -self.most, self.most
        )
        return codes * ops.convert_to_tensor(self.step.astype("float32"))

    def undecided(self, exponent: Any) -> Any:
        """Return the regularizer, 0..1: 1 where every weight is half-way (eq. 24)."""
        apart = ops.power(ops.abs(2 * self.up() - 1), exponent)
        opened = ops.convert_to_tensor(self.open.astype("float32"))
        return ops.sum((1 - apart) * opened) / max(1, int(self.open.sum()))

    def decided(self) -> np.ndarray:
        """Return the kernel with each weight up or down, whichever is nearer."""
        codes = np.clip(self.below + (np.asarray(self.up()) >= 0.5), -self.most, self.most)
        return (codes * self.step).astype("float32")


class _Outputs:
    """What a layer puts out for inputs, behind its ReLU, with kernels in place of its own."""

    def __init__(self, layer: Any, rectified: bool) -> None:
        self._layer, self._rectified = layer, rectified

    def __call__(self, inputs: Any, kernels: Iterable[tuple[Any, Any]] = ()) -> Any:
        with keras.StatelessScope(list(kernels)):
            made = self._layer(inputs)
        return ops.relu(made) if self._rectified else made


def _minimize(
    outputs: _Outputs,
    found: list[Relaxed],
    inputs: Any,
    wanted: Any,
    nearest: float,
    iterations: int,
    seed: int,
) -> None:
    """Minimize the error of a layer's outputs, in units of that of rounding to nearest."""
    import tensorflow as tf

    adam = keras.optimizers.Adam(RATE)
    logits = [relaxed.logit for relaxed in found]
    adam.build(logits)

    @tf.function(autograph=False)
    def step(places: Any, weight: Any, exponent: Any) -> None:
        with tf.GradientTape() as tape:
            kernels = [(relaxed.variable, relaxed.value()) for relaxed in found]
            made = outputs(tf.gather(inputs, places), kernels)
            loss = ops.mean(ops.square(made - tf.gather(wanted, places))) / (nearest + 1e-12)
            for relaxed in found:
                loss += weight * relaxed.undecided(exponent) / len(found)
        adam.apply(tape.gradient(loss, [v.value for v in logits]), logits)

    rng = np.random.default_rng(seed)
    count = int(inputs.shape[0])
    for turn in range(iterations):
        share = max(0.0, (turn / iterations - FREE) / (1 - FREE))
        first, last = EXPONENTS
        exponent = last + 0.5 * (first - last) * (1 + np.cos(np.pi * share))
        places = rng.choice(count, min(BATCH, count), replace=False)
        step(
            tf.constant(places),
            tf.constant(float(turn >= FREE * iterations), tf.float32),
            tf.constant(exponent, tf.float32),
        )


def _error(made: Any, wanted: Any) -> float:
    return float(ops.mean(ops.square(made - wanted)))
