"""Metrics that are no means over samples: of classes by their own counts, and of ranks.

Each gives the value that every sample stands for, so that their mean is the value of the whole and
their spread its uncertainty: its influence on the whole (the delta method, and for areas the
structural components of DeLong, DeLong and Clarke-Pearson, Biometrics 44, 1988).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeshrink.api import Metric

if TYPE_CHECKING:
    import numpy as np

    from edgeshrink.api import Task


class _Rate(Metric):
    """A share of samples that have one answer each, told where it was asked for."""

    tasks = ("classification", "binary")
    proportion = True
    asked = True

    @property
    def counted(self) -> bool:
        """Whether a sample's value is 0 or 1: never."""
        return False

    @classmethod
    def applies(cls, task: Task) -> bool:
        """Return whether samples have one answer each."""
        return super().applies(task) and task.single


class BalancedAccuracy(_Rate):
    """The mean over classes of the share of their samples that is right.

    As scikit-learn's `balanced_accuracy_score`: classes without a sample do not count.
    """

    name, title = "balanced_accuracy", "balanced accuracy"
    aliases = frozenset({"balanced_accuracy"})

    def per_sample(self, outputs: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Return the value that each sample stands for, `(samples,)`."""
        from edgeshrink_metrics.influence import recalls

        return recalls(outputs, labels, self.task)


class MacroF1(_Rate):
    """The mean over classes of the harmonic mean of precision and recall.

    As scikit-learn's `f1_score(average="macro")`: a class that is neither wanted nor answered does
    not count. Of yes and no, both count.
    """

    name, title = "macro_f1", "macro F1"
    aliases = frozenset({"f1_score", "macro_f1"})

    def per_sample(self, outputs: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Return the value that each sample stands for, `(samples,)`."""
        from edgeshrink_metrics.influence import f1_scores

        return f1_scores(outputs, labels, self.task)


class AreaUnderCurve(_Rate):
    """The area under the receiver operating characteristic.

    How likely a sample of the class is ranked before one that is not of it, ties counted as half.
    Of several classes or tags, the mean over them of one against the rest, as scikit-learn's
    `roc_auc_score(multi_class="ovr", average="macro")`; those of which all samples are, or none
    is, do not count.
    """

    name, title = "auc", "AUC"
    tasks = ("classification", "binary", "tags")
    aliases = frozenset({"auc"})

    @classmethod
    def applies(cls, task: Task) -> bool:
        """Return whether samples have one answer each, or tags."""
        return task.kind in cls.tasks and (task.single or task.kind == "tags")

    def per_sample(self, outputs: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Return the value that each sample stands for, `(samples,)`."""
        from edgeshrink_metrics.influence import areas

        return areas(outputs, labels, self.task)


class AnomalyArea(Metric):
    """The area under the curve of what a model gives back badly: of anomalous samples, if it works.

    How likely the mean squared error of an anomalous sample is the greater one, beside that of a
    normal sample, ties counted as half; as scikit-learn's `roc_auc_score`.
    """

    name, title = "anomaly_auc", "anomaly AUC"
    tasks = ("anomaly",)
    proportion = True
    of_made = True

    @property
    def counted(self) -> bool:
        """Whether a sample's value is 0 or 1: never."""
        return False

    def per_sample(self, outputs: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Return the value that each sample stands for, `(samples,)`.

        Args:
            outputs: the mean squared error of each sample, `(samples, 1)`.
            labels: 1 where it is anomalous, else 0.
        """
        from edgeshrink_metrics.influence import areas

        return areas(outputs, labels, self.task)


class RSquared(Metric):
    """The share of the labels' variance that the outputs explain.

    As scikit-learn's `r2_score`: of several numbers the mean over them; 1 at best, and below 0
    where always answering their mean would do better.
    """

    name, title = "r2", "R²"
    tasks = ("regression", "reconstruction")
    asked = True
    aliases = frozenset({"r2_score"})

    def per_sample(self, outputs: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Return the value that each sample stands for, `(samples,)`."""
        from edgeshrink_metrics.influence import explained
        from edgeshrink_metrics.scores import errors

        missed = errors(outputs, labels)
        return explained(missed, labels.reshape(missed.shape).astype("float64"))
