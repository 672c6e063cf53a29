"""What weights of few levels compute with while they train: functions of dense masters."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from edgeshrink.nn import Forward, straight_through

THRESHOLD = 0.7  # of the mean magnitude (TWN, equation 6)


class PerChannel(Forward):
    """A function with a scale for each output channel.

    Args:
        axes: those of the weight that number its output channels.
        learned: the scale is trained, from where the mean of the masters starts it.
    """

    def __init__(self, axes: tuple[int, ...], *, learned: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axes, self.learned = axes, learned
        self.scale: keras.Variable | None = None

    def start(self, values: np.ndarray) -> None:
        """Build it for weights with these values."""
        mean = np.asarray(self.mean(ops.convert_to_tensor(values)))
        if self.learned:
            self.scale = self.add_weight(shape=mean.shape, initializer="zeros", name="scale")
            self.scale.assign(mean)
        self.built = True

    def over(self, master: Any) -> tuple[int, ...]:
        """Return the axes over which a channel's weights lie."""
        rank = len(master.shape)
        return tuple(set(range(rank)) - {axis % rank for axis in self.axes})

    def code(self, master: Any) -> Any:
        """Return -1, 0 or 1 for each weight."""
        raise NotImplementedError

    def mean(self, master: Any) -> Any:
        """Return the scale that is nearest to the masters: the mean of those that are not 0."""
        code = ops.abs(self.code(master))
        over = self.over(master)
        total = ops.sum(ops.abs(master) * code, axis=over, keepdims=True)
        return total / ops.maximum(ops.sum(code, axis=over, keepdims=True), 1)

    def call(self, master: Any) -> Any:
        """Return the scaled codes; gradients pass to the master, and to the scale if learned."""
        code = ops.stop_gradient(self.code(master))
        if self.scale is None:
            return straight_through(master, self.mean(master) * code)
        # TTQ (Zhu et al., ICLR 2017, equations 7 and 8), with one scale for both signs: two would
        # lie on no grid that a .tflite can hold.
        passed = ops.where(code == 0, 1.0, ops.stop_gradient(self.scale))
        return self.scale * code + passed * (master - ops.stop_gradient(master))


class TernaryForward(PerChannel):
    """-s, 0 or s: Li, Liu, "Ternary weight networks", 2016, equations 3 and 6, by channel."""

    def code(self, master: Any) -> Any:
        """Return the sign of weights beyond the threshold."""
        mean = ops.mean(ops.abs(master), axis=self.over(master), keepdims=True)
        return ops.where(ops.abs(master) > THRESHOLD * mean, ops.sign(master), 0.0)


class BinaryForward(PerChannel):
    """-s or s: Rastegari et al., "XNOR-Net", ECCV 2016, equation 6; zeros stay zero."""

    def code(self, master: Any) -> Any:
        """Return the signs."""
        return ops.sign(master)


class PowerForward(Forward):
    """Powers of two for the weights that are fixed so far, the others as they are.

    Zhou et al., "Incremental network quantization", ICLR 2017.

    Args:
        values: of the weight at the start; they give the greatest power (equation 3).
        bits: of a weight, sign and zero among them.
    """

    def __init__(self, values: np.ndarray, bits: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        largest = float(np.abs(values).max()) or 1.0
        first = int(np.floor(np.log2(4 * largest / 3)))
        self.powers = 2.0 ** np.arange(first + 1 - 2 ** (bits - 1) // 2, first + 1)
        shape = values.shape
        self.fixed = self.add_weight(
            shape=shape, initializer="zeros", trainable=False, name="fixed"
        )
        self.value = self.add_weight(
            shape=shape, initializer="zeros", trainable=False, name="value"
        )
        self.built = True

    def call(self, master: Any) -> Any:
        """Return the fixed values where there are such, else the master."""
        return ops.where(self.fixed > 0, self.value, master)

    def release(self) -> None:
        """Fix no weight any more."""
        self.fixed.assign(np.zeros(self.fixed.shape, "float32"))

    def fix(self, master: keras.Variable, share: float) -> None:
        """Fix the largest weights, those fixed before included, so that `share` of all are."""
        values = np.asarray(self(ops.convert_to_tensor(master)))
        fixed = np.asarray(self.fixed) > 0
        order = np.argsort(-np.where(fixed, np.inf, np.abs(values)).ravel(), kind="stable")
        fixed.ravel()[order[: round(share * values.size)]] = True
        self.value.assign(np.where(fixed, powers_of_two(values, self.powers), 0))
        self.fixed.assign(fixed.astype("float32"))


def powers_of_two(values: np.ndarray, powers: np.ndarray) -> np.ndarray:
    """Return each value as the power of its sign nearest to it, or 0 (INQ, equation 4).

    Args:
        values: of any shape.
        powers: ascending powers of two.
    """
    # Between two powers the border is their middle, and below the least half of it.
    borders = np.concatenate([[powers[0] / 2], (powers[1:] + powers[:-1]) / 2])
    places = np.searchsorted(borders, np.abs(values), side="right")
    return np.sign(values) * np.concatenate([[0.0], powers])[places]
