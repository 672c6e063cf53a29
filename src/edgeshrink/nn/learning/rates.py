"""The learning rate of a training, and the test that finds how large it may be."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import keras
from keras import ops

# Between these the rate is raised in a range test.
LOWEST, HIGHEST = 1e-5, 1e-1
# A loss that rises by so many times the first ones has diverged.
DIVERGED = 3.0
# Losses of single batches are averaged over about so many.
SMOOTH = 10
# The loss is about to rise: the peak is this part of the rate there.
BELOW = 1 / 6


class Rate(keras.optimizers.schedules.LearningRateSchedule):
    """A rate that falls from its peak along a cosine, or rises through a range.

    Peak and length are variables, so that one compiled step serves for all of them.

    Attributes:
        peak: the greatest rate, above 0.
        total: steps of the training, at least 1.
        rising: 1 while the range is tested, else 0.
    """

    def __init__(self) -> None:
        super().__init__()
        self.peak, self.total, self.rising = (
            keras.Variable(value, trainable=False) for value in (1e-4, 1.0, 0.0)
        )

    def __call__(self, step: Any) -> Any:
        """Return the rate of a step."""
        share = ops.minimum(ops.cast(step, "float32") / self.total, 1.0)
        falling = self.peak * 0.5 * (1.0 + ops.cos(math.pi * share))
        rising = LOWEST * ops.power(HIGHEST / LOWEST, share)
        return ops.where(self.rising > 0, rising, falling)


class RangeTest(keras.callbacks.Callback):
    """Keeps the loss of each batch while the rate rises, and ends the training in time.

    Smith, WACV 2017, "Cyclical learning rates for training neural networks", section 3.3.

    Args:
        steps: that the rate takes to rise.
    """

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.steps, self.losses, self.batches = steps, list[float](), list[float]()
        self._smooth, self._sum = 0.0, 0.0

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Keep the loss of a batch; Keras tells the mean of the epoch."""
        mean = float((logs or {}).get("loss", math.nan))
        before = 0.0 if batch == 0 else self._sum
        self._sum = mean * (batch + 1)
        loss = self._sum - before
        self.batches.append(loss)
        kept = 1 - 1 / SMOOTH
        self._smooth = kept * self._smooth + (1 - kept) * loss
        self.losses.append(self._smooth / (1 - kept ** (len(self.losses) + 1)))
        first = self.losses[:SMOOTH][-1]
        risen = self.losses[-1] - first
        diverged = not math.isfinite(loss) or risen > DIVERGED * max(abs(first), self._noise())
        if len(self.losses) >= self.steps or (diverged and len(self.losses) > SMOOTH):
            self.model.stop_training = True

    def peak(self) -> float | None:
        """Return the peak rate, to two digits; None if the loss was never a number.

        It is below the greatest rate at which the loss is the least, or as good as that: within one
        standard error, as where a model has little left to learn.
        """
        # the first few are means of too few batches
        finite = {n: loss for n, loss in enumerate(self.losses) if math.isfinite(loss)}
        if not finite:
            return None
        settled = {n: loss for n, loss in finite.items() if n >= SMOOTH} or finite
        limit = min(settled.values()) + self._noise()
        place = max(n for n, loss in settled.items() if loss <= limit)
        rate = LOWEST * (HIGHEST / LOWEST) ** (place / self.steps)
        return float(f"{max(rate * BELOW, LOWEST):.2g}")

    def _noise(self) -> float:
        """Return the standard error of a smoothed loss, from how single batches differ."""
        changes = [b - a for a, b in pairwise(self.batches) if math.isfinite(b - a)]
        if not changes:
            return 0.0
        square = sum(change**2 for change in changes) / len(changes) / 2
        return math.sqrt(square / (2 * SMOOTH - 1))
