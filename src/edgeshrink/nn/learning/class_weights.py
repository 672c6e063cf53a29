"""How much the samples of each class count in a loss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import ops

from edgeshrink.errors import UsageError, near
from edgeshrink.samples import Task

KINDS = ("classification", "binary")


def class_weights(
    text: str, task: Task, labels: np.ndarray, names: Sequence[str] = ()
) -> np.ndarray:
    """Return the weight of each class, `(classes,)`.

    Args:
        text: `balanced`, by which each class counts as much as any other, its weight being
            `samples / (classes * samples of the class)`; or weights of classes, by their number or
            name, as in `0=1,2=5`; those that are not named weigh 1.
        task: of the output: one class of several, or yes or no.
        labels: of the training samples, as `Task.shaped` makes them.
        names: of the classes, in order; empty where they have none.

    Raises:
        UsageError: the output answers something else, or there is no such class.
    """
    if task.kind not in KINDS:
        raise UsageError(
            f"--class-weight is for classes; output {task.name!r} answers {task.kind}",
            hint="drop it",
        )
    found = np.ones(task.classes, "float32")
    if text == "balanced":
        counts = np.bincount(task.wanted(labels).astype("int64").reshape(-1), minlength=len(found))
        present = counts > 0
        found[present] = counts.sum() / (present.sum() * counts[present])
        return found
    known, classes = [*map(str, range(len(found))), *names], f"classes are 0 to {len(found) - 1}"
    for part in text.split(","):
        name, _, weight = (one.strip() for one in part.rpartition("="))
        if name not in known:
            raise UsageError(
                f"--class-weight: no class {name!r}",
                hint=near(name, names, otherwise=classes) if names else classes,
            )
        found[known.index(name) % len(found)] = float(weight)
    return found


def sample_weights(weights: np.ndarray, task: Task, labels: Any) -> Any:
    """Return what each answer of a batch weighs, `(batch, *elements)`.

    Args:
        weights: of the classes, `(classes,)`.
        task: of the output.
        labels: of a batch, as `Task.shaped` makes them.
    """
    table = ops.convert_to_tensor(weights)
    if task.kind == "classification" and not task.sparse:
        return ops.sum(table * labels, axis=-1)
    found = ops.take(table, ops.cast(labels, "int32"), axis=0)
    return found[..., 0] if task.kind == "binary" and task.shape[-1:] == (1,) else found
