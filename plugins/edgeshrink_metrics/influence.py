"""What each sample stands for of a value that is no mean over samples: its influence on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgeshrink.api import DataError
from edgeshrink_metrics.scores import class_numbers

if TYPE_CHECKING:
    from edgeshrink.api import Task


def class_answers(
    outputs: np.ndarray, labels: np.ndarray, task: Task | None
) -> tuple[np.ndarray, np.ndarray, int]:
    """Return the wanted and the given class of each sample, and how many classes there are.

    An answer with a nan in it is of a class that nobody wants.
    """
    unknown = np.isnan(outputs.reshape(len(outputs), -1)).any(axis=1)
    if task is not None and task.kind == "binary":
        wanted = (np.asarray(labels).reshape(-1) > 0.5).astype(np.int64)
        if len(wanted) != len(outputs):
            raise DataError(f"{len(wanted)} labels do not fit {len(outputs)} outputs")
        classes, answered = 2, task.answers(outputs).reshape(-1).astype(np.int64)
    else:
        wanted, classes = class_numbers(outputs, labels).reshape(-1), outputs.shape[-1]
        answered = outputs.argmax(axis=-1).reshape(-1)
    return wanted, np.where(unknown, -1, answered), classes


def ratios_of_sums(parts: np.ndarray, wholes: np.ndarray) -> np.ndarray:
    """Return what each sample stands for of the ratios of two sums, `(samples, ratios)`."""
    ratios = parts.sum(axis=0) / wholes.sum(axis=0)
    return np.asarray(ratios + (parts - ratios * wholes) / wholes.mean(axis=0))


def area(values: np.ndarray, is_of: np.ndarray) -> np.ndarray:
    """Return what each sample stands for of the area under the curve of one class.

    Args:
        values: `(samples,)`, greater where a sample is thought to be of the class.
        is_of: whether it is; both are there.
    """
    of, rest = np.sort(values[is_of]), np.sort(values[~is_of])

    def before(sorted_values: np.ndarray, given: np.ndarray) -> np.ndarray:
        """Return the share of values that are less than each given one, ties as half."""
        places = [np.searchsorted(sorted_values, given, side) for side in ("left", "right")]
        return np.asarray((places[0] + places[1]) / (2 * len(sorted_values)))

    own = np.where(is_of, before(rest, values), 1 - before(of, values))
    area = own[is_of].mean()
    share = len(values) / np.where(is_of, len(of), len(rest))
    return np.asarray(area + share * (own - area))


def recalls(outputs: np.ndarray, labels: np.ndarray, task: Task | None) -> np.ndarray:
    """Return what each sample stands for of the mean share of right answers by class."""
    wanted, answered, _ = class_answers(outputs, labels, task)
    classes, place, sizes = np.unique(wanted, return_inverse=True, return_counts=True)
    right = (wanted == answered).astype(np.float64)
    recall = np.bincount(place, right) / sizes
    share = len(wanted) / (len(classes) * sizes[place])
    return np.asarray(recall.mean() + share * (right - recall[place]))


def f1_scores(outputs: np.ndarray, labels: np.ndarray, task: Task | None) -> np.ndarray:
    """Return what each sample stands for of the mean F1 of classes that are wanted or answered."""
    wanted, answered, classes = class_answers(outputs, labels, task)
    places = np.arange(classes)
    is_wanted, is_answered = wanted[:, None] == places, answered[:, None] == places
    both, either = 2.0 * (is_wanted & is_answered), 1.0 * is_wanted + is_answered
    there = either.sum(axis=0) > 0
    return np.asarray(ratios_of_sums(both[:, there], either[:, there]).mean(axis=1))


def areas(outputs: np.ndarray, labels: np.ndarray, task: Task | None) -> np.ndarray:
    """Return what each sample stands for of the mean area of one class or tag against the rest."""
    values = outputs.reshape(len(outputs), -1).astype(np.float64)
    if task is not None and task.kind == "classification":
        is_of = class_numbers(outputs, labels)[:, None] == np.arange(values.shape[1])
    else:
        is_of = np.asarray(labels).reshape(values.shape) > 0.5
    values = np.where(np.isnan(values), -np.inf, values)
    known = [k for k in range(values.shape[1]) if 0 < is_of[:, k].sum() < len(values)]
    if not known:
        return np.full(len(values), 0.5)  # nothing there can be told apart
    return np.asarray(np.mean([area(values[:, k], is_of[:, k]) for k in known], axis=0))


def explained(missed: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return what each sample stands for of the share of variance that is explained.

    Args:
        missed: `(samples, numbers)`, how far outputs are from labels.
        truth: the labels, likewise.
    """
    spread = (truth - truth.mean(axis=0)) ** 2
    varied = spread.sum(axis=0) > 0
    ratios = np.empty_like(spread)
    ratios[:, varied] = ratios_of_sums(missed[:, varied] ** 2, spread[:, varied])
    # of labels that are all the same, as scikit-learn has it: 1 where all is right, else 0
    ratios[:, ~varied] = abs(missed[:, ~varied]).sum(axis=0) > 0
    return np.asarray(1 - ratios.mean(axis=1))
