"""Labels as the places of classes, where a model itself says what its classes are called."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from edgeshrink.errors import DataError
from edgeshrink.samples.files.stored import Stored
from edgeshrink.texts import shortly

if TYPE_CHECKING:
    import numpy as np

SHOWN = 5  # classes in a message, at most
Class = str | int | float


def numbered(stored: Stored, classes: Sequence[Class], spec: str) -> Stored:
    """Return data whose labels are places in `classes`, with a name for each of these.

    Args:
        stored: as it was read. Labels are names, or numbers, which stand for the data's own class
            names where the model calls its classes by name. Those with an axis of classes are left
            as they are.
        classes: what the model calls its classes, in the order of its output: all names or all
            numbers.
        spec: of the data, in messages.

    Raises:
        DataError: one calls classes by names and the other by numbers, or a label is no class of
            the model.
    """
    import numpy as np

    names, named = stored.class_names, isinstance(classes[0], str)
    place = {value: number for number, value in enumerate(classes)}

    def placed(values: np.ndarray) -> np.ndarray:
        values = values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values
        if values.ndim != 1 or values.dtype.kind not in "iubfUS":
            return values
        found, where = np.unique(values, return_inverse=True)
        called = _called(found, names if named else (), spec, classes)
        unknown = [one for one in called if one not in place]
        if unknown:
            raise DataError(
                f"labels must be classes of the model ({_told(classes)}); {spec} has "
                f"{_told(unknown)}",
                hint="leave out samples of other classes, or fit the model on them too",
            )
        return np.array([place[one] for one in called], np.int64)[where]

    labels = {
        part: {output: placed(values) for output, values in of.items()}
        for part, of in stored.labels.items()
    }
    shown = (str(c) if named else _name(c, names) for c in classes)
    return replace(stored, labels=labels, class_names=tuple(shown))


def _called(
    found: np.ndarray, names: Sequence[str], spec: str, classes: Sequence[Class]
) -> list[Class]:
    """Return what labels call their classes, as the model would."""
    text, named = found.dtype.kind in "US", isinstance(classes[0], str)
    if text == named:
        return [str(one) if text else one.item() for one in found]
    if named and names and found.dtype.kind in "iu" and found[0] >= 0 and found[-1] < len(names):
        return [names[number] for number in found]
    own, theirs = ("names", "numbers") if named else ("numbers", "names")
    raise DataError(
        f"the model calls its classes by {own} ({_told(classes)}), and the labels of {spec} are "
        f"{theirs} ({_told([one.item() for one in found])})",
        hint="store labels as they were when the model was fitted",
    )


def _name(value: Class, names: Sequence[str]) -> str:
    """Return the data's own name of a class that is a number, or the number."""
    known = isinstance(value, int) and 0 <= value < len(names)
    return names[int(value)] if known else str(value)


def _told(classes: Sequence[Class]) -> str:
    shown = ", ".join(shortly(one) for one in classes[:SHOWN])
    return f"{shown}, …" if len(classes) > SHOWN else shown
