"""Boxes that judge a detector: stored as labels, and what no output is trained towards."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from edgeshrink.errors import DataError
from edgeshrink.samples.files.stored import Stored

if TYPE_CHECKING:
    import numpy as np

NAME = "boxes"  # of labels that are boxes, where others are of outputs
SHAPE = "(samples, most, 5): x0, y0, x1, y1 and class"


def boxes_apart(stored: Stored, spec: str) -> Stored:
    """Return what is stored, with boxes as the truth; labels under outputs' names stay labels.

    Boxes are the labels without a name, or those that are called `boxes`. Rows of padding, whose
    class is -1 or which hold nan, become nan.

    Args:
        stored: arrays by the part that they were stored for.
        spec: what the user named, for errors.

    Raises:
        DataError: there are no boxes to judge by, or they are none.
    """
    labels: dict[str, dict[str, np.ndarray[Any, Any]]] = {}
    truth: dict[str, np.ndarray[Any, Any]] = {}
    for part, named in stored.labels.items():
        name = NAME if NAME in named else ""
        if name in named:
            where = f"y{f'_{part}' if part else ''}{f'/{name}' if name else ''} in {spec}"
            count = (
                next(iter(stored.inputs[part].values())).shape[0] if part in stored.inputs else 0
            )
            truth[part] = checked(named[name], count, where)
        if rest := {other: values for other, values in named.items() if other != name}:
            labels[part] = rest
    judged = "test" if "test" in stored.inputs else "" if "" in stored.inputs else "train"
    if judged not in truth:
        raise DataError(
            f"--decode finds boxes, and {spec} has none to judge them by: there is no "
            f"y{f'_{judged}' if judged else ''}",
            hint=f"boxes are an array {SHAPE}; rows of class -1 are padding",
        )
    alone = not labels
    return replace(
        stored,
        labels=labels,
        truth=truth,
        unlabelled=None if alone else stored.unlabelled,
    )


def checked(
    boxes: np.ndarray[Any, Any], count: int, where: str
) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return boxes `(samples, most, 5)` with rows of padding all nan.

    Args:
        boxes: as they are stored.
        count: of samples.
        where: they are stored, for errors.

    Raises:
        DataError: they are none.
    """
    import numpy as np

    if boxes.dtype.kind not in "fiu" or boxes.ndim != 3 or boxes.shape[-1] != 5:
        raise DataError(
            f"boxes must be an array {SHAPE}; {where} is {boxes.dtype} of {boxes.shape}",
            hint="rows of class -1 fill up samples that have fewer boxes than others",
        )
    if len(boxes) != count:
        raise DataError(
            f"inputs and boxes must be as many; {where} has boxes of {len(boxes):,} samples, and "
            f"there are {count:,}"
        )
    found = boxes.astype("float64")
    found[np.isnan(found).any(axis=-1) | (found[..., 4] == -1)] = np.nan
    there = ~np.isnan(found[..., 4])
    if not there.any():
        raise DataError(f"boxes judge a detector; {where} has none, but padding alone")
    classes = found[..., 4]
    for wrong, told in (
        (there & ((classes < 0) | (classes != np.rint(classes))), "classes are whole numbers"),
        (there & ((found[..., 2] < found[..., 0]) | (found[..., 3] < found[..., 1])), ORDER),
        (there & np.isinf(found).any(axis=-1), "boxes are finite numbers"),
    ):
        if wrong.any():
            sample, row = (int(one) for one in np.argwhere(wrong)[0])
            raise DataError(f"{told}; {where} has {listed(found[sample, row])} in sample {sample}")
    return found


ORDER = "boxes are (x0, y0, x1, y1) with x0 at most x1 and y0 at most y1"


def listed(values: Any) -> str:
    """Return a few numbers as text."""
    return f"({', '.join(f'{float(value):g}' for value in values)})"
