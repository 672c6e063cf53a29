"""Metrics: how outputs are scored against labels, and what scores are worth for their size."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeshrink.api import Merit, Metric, Package, Part, hookimpl
from edgeshrink_metrics.merits import Efficacy, EfficacyOnDisk, QualityOfModel

if TYPE_CHECKING:
    import numpy as np

    from edgeshrink.api import Task


class Top1(Metric):
    """The share of right answers: for a mask, of pixels; for tags, of yes and no.

    Of a sample that has several answers, the share of them is one value.
    """

    name, title = "top1", "accuracy"
    tasks = ("classification", "binary", "tags")
    proportion = True
    aliases = frozenset(
        {
            "acc",
            "accuracy",
            "binary_accuracy",
            "categorical_accuracy",
            "sparse_categorical_accuracy",
        }
    )

    def per_sample(self, outputs: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Return the share of right answers in each sample: 1 or 0 where it has one."""
        from edgeshrink_metrics.scores import among_strongest, binary_right

        if self.task.kind != "classification" if self.task else _one_value(outputs):
            return binary_right(outputs, labels, self.task)
        return among_strongest(outputs, labels, 1)


class Top5(Metric):
    """The share of samples whose labelled class is among the five strongest."""

    name, title = "top5", "top-5"
    tasks = ("classification",)
    proportion = True
    aliases = frozenset({"top_k_categorical_accuracy", "sparse_top_k_categorical_accuracy"})

    @classmethod
    def applies(cls, task: Task) -> bool:
        """Return whether there are more than five classes: else every answer is right."""
        return super().applies(task) and task.classes > 5

    def per_sample(self, outputs: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Return 1 for each sample that is right, else 0; with several answers, their share."""
        from edgeshrink_metrics.scores import among_strongest

        return among_strongest(outputs, labels, 5)


class MeanIoU(Metric):
    """The intersection of answers and labels over their union, the mean over classes.

    For samples that have several answers, as masks do. Intersections and unions are those of all
    samples together, as in Keras's `MeanIoU`; a class that is neither wanted nor answered does not
    count.
    """

    name, title = "miou", "mean IoU"
    tasks = ("classification", "binary")
    proportion = True
    beside = True
    aliases = frozenset(
        {"mean_io_u", "mean_iou", "io_u", "binary_io_u", "one_hot_mean_io_u", "one_hot_io_u"}
    )

    @property
    def counted(self) -> bool:
        """Whether a sample's value is 0 or 1: never."""
        return False

    @classmethod
    def applies(cls, task: Task) -> bool:
        """Return whether samples have several answers."""
        return super().applies(task) and not task.single

    def per_sample(self, outputs: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Return the value that each sample stands for, so that their mean is that of the whole.

        The value of the whole is a mean of ratios, not a mean over samples. What each sample adds
        is reckoned by the delta method: its intersection less its union times the class's ratio,
        over the class's mean union. These add up to 0, and their spread is that of the ratio.
        """
        from edgeshrink_metrics.scores import intersections_over_unions

        return intersections_over_unions(outputs, labels, self.task)


class MeanAbsoluteError(Metric):
    """The mean distance between outputs and labels."""

    name, title = "mae", "MAE"
    tasks = ("regression", "reconstruction")
    higher_is_better = False
    aliases = frozenset({"mae", "mean_absolute_error"})

    def per_sample(self, outputs: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Return the mean absolute error within each sample."""
        from edgeshrink_metrics.scores import errors

        return abs(errors(outputs, labels)).mean(axis=1)


class RootMeanSquaredError(Metric):
    """The root of the mean squared distance between outputs and labels."""

    name, title = "rmse", "RMSE"
    tasks = ("regression", "reconstruction")
    higher_is_better = False
    aliases = frozenset({"mse", "mean_squared_error", "root_mean_squared_error"})

    def per_sample(self, outputs: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Return the mean squared error within each sample; `value` takes the root."""
        from edgeshrink_metrics.scores import errors

        return (errors(outputs, labels) ** 2).mean(axis=1)

    def value(self, mean: float) -> float:
        """Return the root of the mean squared error."""
        return float(mean**0.5)


def _one_value(outputs: np.ndarray) -> bool:
    return outputs.ndim < 2 or outputs.shape[-1] == 1


@hookimpl
def edgeshrink_metrics() -> list[type[Metric]]:
    """Return the metrics of this plugin; for each task the score of record comes first."""
    from edgeshrink_metrics.detection import MeanAveragePrecision
    from edgeshrink_metrics.rates import (
        AnomalyArea,
        AreaUnderCurve,
        BalancedAccuracy,
        MacroF1,
        RSquared,
    )

    told = [Top1, Top5, MeanIoU, AnomalyArea, MeanAbsoluteError, RootMeanSquaredError]
    return [*told, MeanAveragePrecision, BalancedAccuracy, MacroF1, AreaUnderCurve, RSquared]


@hookimpl
def edgeshrink_parts() -> list[Part]:
    """Return what computes mean average precision."""
    return [Package("pycocotools", "mean average precision of detectors (--metric map)")]


@hookimpl
def edgeshrink_merits() -> list[type[Merit]]:
    """Return the figures of merit of this plugin."""
    return [Efficacy, EfficacyOnDisk, QualityOfModel]
