"""Which models metadata is written for: classifiers of images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from edgeshrink.api import UsageError

if TYPE_CHECKING:
    from edgeshrink.api import Dataset, ModelFacts

COLORS = {1: "grayscale", 3: "rgb"}
Shape = Sequence[int | None] | None


def check_model(base: ModelFacts, data: Dataset | None) -> tuple[int | None, int | None]:
    """Return how many values the model puts out, and how many channels it takes, if that is known.

    Args:
        base: facts of the model file.
        data: the data set, or None. Its labels tell whether outputs are classes; without labels
            that is what names of classes say.

    Raises:
        UsageError: it is no classifier of images.
    """
    labelled = data and any(part.labels is not None for part in data.subsets().values())
    if data and (labelled or data.labelled) and any(task.numeric for task in data.tasks.values()):
        raise _refused("numbers, not classes, as output")
    inputs, outputs = ([t.shape for t in ends] for ends in (base.inputs, base.outputs))
    return check_shapes(inputs or [None], outputs or [None])


def check_shapes(
    inputs: Sequence[Shape], outputs: Sequence[Shape]
) -> tuple[int | None, int | None]:
    """Return what `check_model` does, from shapes; None is what is not known.

    Args:
        inputs: batch first.
        outputs: likewise.

    Raises:
        UsageError: it is no classifier of images.
    """
    if len(inputs) != 1 or len(outputs) != 1:
        raise _refused(f"{len(inputs)} inputs and {len(outputs)} outputs")
    taken, given = inputs[0], outputs[0]
    if taken is not None and (len(taken) != 4 or taken[3] not in COLORS):
        raise _refused(f"an input of shape {_told(taken)}")
    if given is not None and len(given) != 2:
        raise _refused(f"an output of shape {_told(given)}")
    return (given[1] if given else None), (taken[3] if taken else None)


def _told(shape: Sequence[int | None]) -> str:
    return "×".join("?" if size is None else str(size) for size in shape)


def _refused(has: str) -> UsageError:
    return UsageError(
        "--metadata is for models that take an image, of 1 or 3 channels last, and put out a score "
        f"for each class; this one has {has}",
        hint="drop --metadata",
    )
