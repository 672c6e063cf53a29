"""Scores of single samples."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeshrink.api import DataError, Task

if TYPE_CHECKING:
    import numpy as np


def class_numbers(outputs: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return labels as class numbers of shape `outputs.shape[:-1]`; one-hot rows are read too.

    Raises:
        DataError: the labels do not fit the outputs.
    """
    import numpy as np

    labels = np.asarray(labels)
    if labels.shape == outputs.shape:
        return labels.argmax(axis=-1)
    if labels.size != outputs[..., 0].size:
        raise DataError(f"labels of shape {labels.shape} do not fit outputs of {outputs.shape}")
    return labels.reshape(outputs.shape[:-1]).astype(np.int64)


def among_strongest(outputs: np.ndarray, labels: np.ndarray, count: int) -> np.ndarray:
    """Return the share of right answers in each sample: 0 or 1 where a sample has one label.

    Of equal outputs the one with the lower class number is the stronger, as `argmax` has it:
    a model that answers the same for all classes must not be called right. An answer with a
    nan in it is wrong.
    """
    import numpy as np

    wanted = class_numbers(outputs, labels)
    if wanted.size and (wanted.min() < 0 or wanted.max() >= outputs.shape[-1]):
        raise DataError(
            f"labels must be classes 0 to {outputs.shape[-1] - 1}; "
            f"received {wanted.min()} to {wanted.max()}"
        )
    mine = np.take_along_axis(outputs, wanted[..., None], axis=-1)
    lower = np.arange(outputs.shape[-1]) < wanted[..., None]
    stronger = (outputs > mine) | ((outputs == mine) & lower)
    right = (stronger.sum(axis=-1) < count) & ~np.isnan(outputs).any(axis=-1)
    return right.reshape(len(outputs), -1).mean(axis=1)


def binary_right(outputs: np.ndarray, labels: np.ndarray, task: Task | None = None) -> np.ndarray:
    """Return the share of values in each sample that are on the right side of their threshold.

    The threshold is 0.5 for probabilities and 0 for logits, which are told by the task, or else by
    any output that lies outside 0..1.
    """
    import numpy as np

    values, labels = outputs.reshape(len(outputs), -1), np.asarray(labels)
    if labels.size != values.size:
        raise DataError(f"labels of shape {labels.shape} do not fit outputs of {outputs.shape}")
    threshold = (task or Task("", "binary")).threshold(values)
    right = ((values > threshold) == (labels.reshape(values.shape) > 0.5)) & ~np.isnan(values)
    return right.mean(axis=1)


def intersections_over_unions(
    outputs: np.ndarray, labels: np.ndarray, task: Task | None
) -> np.ndarray:
    """Return what each sample stands for of the mean IoU, `(samples,)`.

    Args:
        outputs: `(samples, ..., classes)`, or one value for each answer of yes or no.
        labels: class numbers, or 0 and 1.
        task: of the output; None reads it from the shape.
    """
    import numpy as np

    count = len(outputs)
    if task is None:
        task = Task("", "binary" if outputs.shape[-1] == 1 else "classification", outputs.shape[1:])
    if task.kind == "classification":
        classes, wanted = outputs.shape[-1], class_numbers(outputs, labels)
        unknown = np.isnan(outputs).any(axis=-1)
    else:
        classes, wanted, unknown = 2, np.asarray(labels).astype(np.int64), np.isnan(outputs)
    # an answer with a nan in it is a class of its own, which nobody wants
    answered = np.where(unknown, classes, task.answers(outputs)).reshape(count, -1)
    wanted = wanted.reshape(count, -1)
    rows = np.arange(count)[:, None] * (classes + 1)

    def counts(chosen: np.ndarray, where: np.ndarray | None = None) -> np.ndarray:
        places = (rows + chosen).reshape(-1)
        weights = None if where is None else where.reshape(-1)
        found = np.bincount(places, weights, minlength=count * (classes + 1))
        return found.reshape(count, classes + 1)[:, :classes]

    both = counts(wanted, wanted == answered)
    either = counts(wanted) + counts(answered) - both
    there = either.sum(axis=0) > 0
    both, either = both[:, there], either[:, there]
    ratios = both.sum(axis=0) / either.sum(axis=0)
    added = (both - ratios * either) / either.mean(axis=0)
    return ratios.mean() + added.mean(axis=1)


def errors(outputs: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return outputs minus labels, `(samples, values)`, in 64 bits.

    Raises:
        DataError: the labels do not fit the outputs.
    """
    import numpy as np

    labels = np.asarray(labels)
    if labels.size != outputs.size or len(labels) != len(outputs):
        raise DataError(f"labels of shape {labels.shape} do not fit outputs of {outputs.shape}")
    flat = outputs.reshape(len(outputs), -1).astype(np.float64)
    return flat - labels.reshape(flat.shape).astype(np.float64)
