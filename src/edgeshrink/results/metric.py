"""How outputs are scored against labels, sample by sample, so that scores can be compared."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from edgeshrink.devices import NORMAL_95, wilson

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Score:
    """A metric's value over a set of samples, with its 95 % interval."""

    metric: str
    value: float
    low: float
    high: float
    count: int
    higher_is_better: bool


class Metric(ABC):
    """A way to score a model's outputs.

    Attributes:
        name: as in `--metric`.
        title: what a table's column is headed with.
        tasks: what it applies to, of classification, binary, regression.
        higher_is_better: the direction.
        proportion: the values of single samples are 0 or 1.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    tasks: ClassVar[tuple[str, ...]]
    higher_is_better: ClassVar[bool] = True
    proportion: ClassVar[bool] = False

    @abstractmethod
    def per_sample(self, outputs: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Return one value a sample.

        Args:
            outputs: `(samples, ...)`, float.
            labels: integer `(samples,)` for classes, else the shape of the outputs.

        Returns:
            `(samples,)` float.
        """

    def applies(self, outputs: tuple[int, ...], task: str) -> bool:
        """Return whether the metric makes sense for outputs of this shape and task."""
        return task in self.tasks

    def value(self, mean: float) -> float:
        """Return the metric's value from the mean over samples; monotonic."""
        return mean

    def score(self, outputs: np.ndarray, labels: np.ndarray) -> Score:
        """Return the value over all samples with its 95 % interval."""
        values = self.per_sample(outputs, labels)
        count, mean = len(values), float(values.mean())
        if self.proportion:
            low, high = wilson(round(float(values.sum())), count)
        else:
            half = NORMAL_95 * float(values.std(ddof=1)) / math.sqrt(count) if count > 1 else 0.0
            low, high = max(0.0, mean - half), mean + half
        return Score(
            self.name,
            self.value(mean),
            self.value(low),
            self.value(high),
            count,
            self.higher_is_better,
        )
