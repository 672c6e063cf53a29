"""Metrics: how outputs are scored against labels, and what scores are worth for their size."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeshrink.api import Merit, Metric, hookimpl
from edgeshrink_metrics.merits import Efficacy, EfficacyOnDisk, QualityOfModel

if TYPE_CHECKING:
    import numpy as np


class Top1(Metric):
    """The share of samples whose strongest class is the labelled one."""

    name, title = "top1", "accuracy"
    tasks = ("classification", "binary")
    proportion = True

    def per_sample(self, outputs: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Return 1 for each sample that is right, else 0."""
        from edgeshrink_metrics.scores import among_strongest, binary_right

        if outputs.ndim < 2 or outputs.shape[-1] == 1:
            return binary_right(outputs, labels)
        return among_strongest(outputs, labels, 1)


class Top5(Metric):
    """The share of samples whose labelled class is among the five strongest."""

    name, title = "top5", "top-5"
    tasks = ("classification",)
    proportion = True

    def applies(self, outputs: tuple[int, ...], task: str) -> bool:
        """Return whether there are more than five classes: else every answer is right."""
        return super().applies(outputs, task) and len(outputs) > 1 and outputs[-1] > 5

    def per_sample(self, outputs: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Return 1 for each sample that is right, else 0."""
        from edgeshrink_metrics.scores import among_strongest

        return among_strongest(outputs, labels, 5)


class MeanAbsoluteError(Metric):
    """The mean distance between outputs and labels."""

    name, title = "mae", "MAE"
    tasks = ("regression",)
    higher_is_better = False

    def per_sample(self, outputs: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Return the mean absolute error within each sample."""
        from edgeshrink_metrics.scores import errors

        return abs(errors(outputs, labels)).mean(axis=1)


class RootMeanSquaredError(Metric):
    """The root of the mean squared distance between outputs and labels."""

    name, title = "rmse", "RMSE"
    tasks = ("regression",)
    higher_is_better = False

    def per_sample(self, outputs: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Return the mean squared error within each sample; `value` takes the root."""
        from edgeshrink_metrics.scores import errors

        return (errors(outputs, labels) ** 2).mean(axis=1)

    def value(self, mean: float) -> float:
        """Return the root of the mean squared error."""
        return float(mean**0.5)


@hookimpl
def edgeshrink_metrics() -> list[type[Metric]]:
    """Return the metrics of this plugin; for each task the score of record comes first."""
    return [Top1, Top5, MeanAbsoluteError, RootMeanSquaredError]


@hookimpl
def edgeshrink_merits() -> list[type[Merit]]:
    """Return the figures of merit of this plugin."""
    return [Efficacy, EfficacyOnDisk, QualityOfModel]
