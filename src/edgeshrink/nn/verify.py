"""How alike two models answer, and whether a converted file is what its precision declares."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import keras
import numpy as np

from edgeshrink.errors import VerificationError
from edgeshrink.method import Agreement
from edgeshrink.nn.flat import FlatModel
from edgeshrink.nn.training import kernels

Outputs = Mapping[str, np.ndarray]


def agreement(
    reference: Outputs, outputs: Outputs, *, classes: bool, synthetic: bool = False
) -> Agreement:
    """Return how alike two models' outputs for the same inputs are.

    Args:
        reference: `(samples, ...)` for each output, in order.
        outputs: the same of the other model; matched by order, since names change in conversion.
        classes: whether outputs of more than one value are scores of classes.
        synthetic: whether the inputs were made up.

    Raises:
        VerificationError: the outputs differ in number or size, or are not finite.
    """
    if len(reference) != len(outputs):
        raise VerificationError(
            f"the converted model must have {len(reference)} outputs; it has {len(outputs)}"
        )
    cosines, errors, same = [], [], []
    named: int | None = None
    for (name, wanted), given in zip(reference.items(), matched(reference, outputs), strict=True):
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


def matched(reference: Outputs, outputs: Outputs) -> list[np.ndarray]:
    """Return `outputs` in the order of `reference`: by name where all agree, else as they come."""
    if set(reference) == set(outputs):
        return [outputs[name] for name in reference]
    return list(outputs.values())


def check_zeros(model: keras.Model, flat: FlatModel) -> float:
    """Return the sparsity of a converted file's weights, having checked that zeros are kept.

    Every kernel with zeros is looked for among the file's constants by its number of elements
    (names shift in conversion, and layouts differ); none may have become denser. Kernels that
    the converter split or merged are compared by the totals.

    Raises:
        VerificationError: zeros were lost.
    """
    weights = [
        t for t in flat.tensors if t.constant and len(t.shape) >= 2 and t.nonzeros is not None
    ]
    by_size: dict[int, list[int]] = defaultdict(list)
    for tensor in weights:
        by_size[int(np.prod(tensor.shape))].append(int(tensor.nonzeros or 0))
    for size, counts in by_size.items():
        by_size[size] = sorted(counts)
    wanted: dict[int, list[tuple[int, str]]] = defaultdict(list)
    for variable in kernels(model):
        values = np.asarray(variable)
        wanted[values.size].append((int(np.count_nonzero(values)), variable.path))
    for size, kept in wanted.items():
        found = by_size.get(size, [])
        if len(found) < len(kept):
            continue  # split, merged or shared by the converter
        for (nonzeros, path), now in zip(sorted(kept), found, strict=False):
            if nonzeros < size and now > nonzeros:
                raise VerificationError(
                    f"zeros must stay zero: {path} had {nonzeros} non-zero weights, "
                    f"the converted file has {now} in its place"
                )
    elements = sum(int(np.prod(t.shape)) for t in weights)
    nonzeros = sum(int(t.nonzeros or 0) for t in weights)
    return 1 - nonzeros / elements if elements else 0.0
