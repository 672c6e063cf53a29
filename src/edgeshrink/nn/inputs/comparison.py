"""How alike two models answer the same inputs; needs numpy alone, so that measuring stays light."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from edgeshrink.errors import VerificationError
from edgeshrink.recipes import Agreement
from edgeshrink.samples import Task

Outputs = Mapping[str, np.ndarray]


def agreement(
    reference: Outputs,
    outputs: Outputs,
    *,
    tasks: Mapping[str, Task] | None = None,
    synthetic: bool = False,
) -> Agreement:
    """Return how alike two models' outputs for the same inputs are.

    Args:
        reference: `(samples, ...)` for each output by name, in order.
        outputs: the same of the other model; matched by name where all names agree, else by order,
            since names change in conversion.
        tasks: what each output of the reference answers; where that is classes, for a sample or
            for each of its elements, they are compared.
        synthetic: whether the inputs were made up.

    Raises:
        VerificationError: the outputs differ in number or shape, or those of the other model are
            not finite.
    """
    if len(reference) != len(outputs):
        raise VerificationError(
            f"the converted model must have {len(reference)} outputs; it has {len(outputs)}"
        )
    cosines, errors, same = [], [], []
    named: int | None = None
    count = len(next(iter(reference.values())))
    answers: int | None = None
    for (name, wanted), given in zip(
        reference.items(), matched_outputs(reference, outputs), strict=True
    ):
        left, right = wanted.astype("float64"), given.astype("float64")
        if left.shape != right.shape:
            raise VerificationError(
                f"output {name!r} must have shape {wanted.shape}; it has {given.shape}"
            )
        if not np.isfinite(right).all():
            raise VerificationError(f"output {name!r} of the converted model is not finite")
        lengths = float(np.linalg.norm(left) * np.linalg.norm(right))
        # of all values of all samples: a single value has no direction of its own
        cosines.append(
            float((left * right).sum()) / lengths if lengths else float((left == right).all())
        )
        spread = float(left.max() - left.min()) or 1.0
        errors.append(float(np.abs(left - right).max()) / spread)
        task = tasks.get(name) if tasks else None
        if task is not None and not task.numeric:
            first, second = task.answers(wanted), task.answers(given)
            same.append(float((first == second).mean()))
            if same[-1] == min(same):
                answers = first.size if first.size > count else None
            named = len(np.unique(first)) if named is None else named
    return Agreement(
        count,
        synthetic,
        min(same) if same else None,
        min(cosines),
        max(errors),
        named,
        answers,
    )


def divergence(reference: Outputs, outputs: Outputs) -> float:
    """Return how far outputs are from a reference, the worst over outputs.

    Kullback-Leibler divergence (nats, the mean over samples and their elements) where the
    reference's rows are probabilities, else the squared distance in shares of the reference's
    variance; infinite where outputs are not finite.

    Args:
        reference: arrays `(samples, ...)` by the name of an output.
        outputs: for each of these names an array of the same shape.
    """
    worst = 0.0
    for name, wanted in reference.items():
        left, right = wanted.astype("float64"), outputs[name].astype("float64")
        if not np.isfinite(right).all():
            return math.inf
        if left.ndim > 1 and left.min() >= 0 and np.allclose(left.sum(axis=-1), 1, atol=1e-3):
            logs = np.log(np.maximum(left, 1e-12)) - np.log(np.maximum(right, 1e-12))
            far = float((left * logs).sum(axis=-1).mean())
        else:
            far = float(np.square(left - right).mean() / (left.var() or 1.0))
        worst = max(worst, far)
    return worst


def top_class(outputs: np.ndarray) -> np.ndarray:
    """Return the class that each row names; a single value names one of two classes.

    Args:
        outputs: `(samples, classes)`, probabilities or logits.
    """
    kind = "binary" if outputs.shape[-1] == 1 else "classification"
    return Task("", kind, outputs.shape[1:]).answers(outputs).reshape(-1)


def matched_outputs(reference: Outputs, outputs: Outputs) -> list[np.ndarray]:
    """Return `outputs` in the order of `reference`: by name where all agree, else as they come."""
    if set(reference) == set(outputs):
        return [outputs[name] for name in reference]
    return list(outputs.values())
