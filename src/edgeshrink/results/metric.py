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
    """A metric's value over a set of samples, with its 95 % interval.

    Attributes:
        metric: its name.
        value: over all samples; shares are 0..1.
        low: the lower end of the interval.
        high: the upper end.
        count: of samples.
        higher_is_better: the metric's direction.
    """

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
        tasks: what it applies to, of `classification`, `binary`, `regression`.
        higher_is_better: the direction.
        proportion: whether the value of a single sample is 0 or 1.
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
            `(samples,)` float, at least 0.
        """

    def applies(self, outputs: tuple[int, ...], task: str) -> bool:
        """Return whether the metric makes sense for some outputs.

        Args:
            outputs: their shape, `(samples, ...)`.
            task: what the labels are: `classification`, `binary` or `regression`.
        """
        return task in self.tasks

    def value(self, mean: float) -> float:
        """Return the metric's value for a mean over samples; a greater mean gives no smaller one.

        Args:
            mean: of what `per_sample` returns.
        """
        return mean

    def score(self, outputs: np.ndarray, labels: np.ndarray) -> Score:
        """Return the value over all samples with its 95 % interval.

        The interval is Wilson's (1927) for proportions, otherwise 1.96 standard errors of the mean
        to each side, cut off at 0.

        Args:
            outputs: `(samples, ...)`, float.
            labels: integer `(samples,)` for classes, else the shape of the outputs.
        """
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
