"""Zero patterns that are held on weights while a model trains."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

from edgeshrink.nn.learning.reparameterization import Reparameterized


class Mask:
    """A constraint that keeps a variable's zeros; composes with the variable's own constraint."""

    def __init__(self, variable: keras.Variable, mask: np.ndarray) -> None:
        self.own = variable.constraint
        self.mask = keras.Variable(mask, trainable=False, dtype=variable.dtype, name="mask")

    def __call__(self, value: Any) -> Any:
        """Return the value as the model's own constraint wants it, masked."""
        if self.own is not None:
            value = self.own(value)
        return value * self.mask


class Masks:
    """Zero patterns that are held on variables while a model trains.

    Keras's optimizers apply a variable's constraint inside the compiled step, so a mask holds
    under Adam and SGD, gradient accumulation, mixed precision and XLA. Moving averages of the
    weights are written past the constraint: `enforce` after training makes good.

    Args:
        variables: what is held; the patterns are at first the zeros that they have now.

    Attributes:
        variables: in the order in which they were given.
    """

    def __init__(self, variables: Iterable[keras.Variable]) -> None:
        self.variables = list(variables)
        self._masks = [Mask(v, (np.asarray(v) != 0).astype("float32")) for v in self.variables]

    def assign(self, masks: Iterable[np.ndarray]) -> None:
        """Hold these patterns from now on, and apply them.

        Args:
            masks: one for each variable, of its shape: 1 keeps a value, 0 makes it zero.
        """
        for held, mask in zip(self._masks, masks, strict=True):
            held.mask.assign(mask)
        self.enforce()

    def enforce(self) -> None:
        """Set to zero what the patterns say.

        Masked products leave -0.0 behind where weights were negative, at random to a compressor.
        """
        for variable, held in zip(self.variables, self._masks, strict=True):
            variable.assign(keras.ops.where(held.mask != 0, variable, 0.0))

    def zeros(self) -> int:
        """Return how many values the patterns hold at zero."""
        return sum(int((np.asarray(held.mask) == 0).sum()) for held in self._masks)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the patterns by constraints within the block; `enforce` them once more after it."""
        for variable, held in zip(self.variables, self._masks, strict=True):
            variable.constraint = held
        try:
            yield
        finally:
            for variable, held in zip(self.variables, self._masks, strict=True):
                variable.constraint = held.own
            self.enforce()


def kernel_weights(model: keras.Model) -> list[keras.Variable]:
    """Return a model's float weights of two or more dimensions, each once.

    Args:
        model: any Keras model; of a `Reparameterized` one, the weights of the model inside, and
            not those of its functions.
    """
    inner = model.model if isinstance(model, Reparameterized) else model
    return [v for v in inner.weights if len(v.shape) >= 2 and "float" in str(v.dtype)]
