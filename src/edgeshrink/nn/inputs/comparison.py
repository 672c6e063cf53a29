"""How alike two models answer the same inputs; needs numpy alone, so that measuring stays light."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from edgeshrink.errors import VerificationError
from edgeshrink.recipes import Agreement

Outputs = Mapping[str, np.ndarray]


def agreement(
    reference: Outputs, outputs: Outputs, *, classes: bool, synthetic: bool = False
) -> Agreement:
    """Return how alike two models' outputs for the same inputs are.

    Args:
        reference: `(samples, ...)` for each output by name, in order.
        outputs: the same of the other model; matched by name where all names agree, else by order,
            since names change in conversion.
        classes: whether outputs `(samples, classes)` are scores of classes.
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
        if classes and wanted.ndim == 2:
            first, second = top_class(wanted), top_class(given)
            same.append(float((first == second).mean()))
            named = len(np.unique(first)) if named is None else named
    return Agreement(
        len(next(iter(reference.values()))),
        synthetic,
        min(same) if same else None,
        min(cosines),
        max(errors),
        named,
    )


def top_class(outputs: np.ndarray) -> np.ndarray:
    """Return the class that each row names; a single value names one of two classes.

    Args:
        outputs: `(samples, classes)`, probabilities or logits.
    """
    if outputs.shape[-1] == 1:
        middle = 0.5 if outputs.min() >= 0 and outputs.max() <= 1 else 0.0
        return np.asarray(outputs[:, 0] > middle, "int64")
    return np.asarray(outputs.argmax(axis=-1))


def matched_outputs(reference: Outputs, outputs: Outputs) -> list[np.ndarray]:
    """Return `outputs` in the order of `reference`: by name where all agree, else as they come."""
    if set(reference) == set(outputs):
        return [outputs[name] for name in reference]
    return list(outputs.values())
