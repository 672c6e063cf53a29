"""Whether samples and labels fit a model's inputs and outputs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from edgeshrink.errors import DataError, near
from edgeshrink.samples.files.images import Images
from edgeshrink.samples.subset import Source, Subset
from edgeshrink.samples.task import Task, is_one_hot, is_yes_or_no

if TYPE_CHECKING:
    from edgeshrink.samples.preprocess import Preprocess

Shape = Sequence[int | None]


def adapt_inputs(
    part: Subset,
    inputs: Mapping[str, Shape],
    dtypes: Mapping[str, str],
    preprocess: Preprocess,
) -> tuple[Subset, list[str]]:
    """Return a part with a model's input names and sizes, and notes on what was changed.

    Raises:
        DataError: a name or shape does not fit.
    """
    sources, notes, channel = {}, [], set()
    for name, source in _matched(part.sources, inputs, "input").items():
        wanted = tuple(inputs[name][1:])
        if isinstance(source, Images):
            old, source = source.shape[1:], source.resized(wanted)
            if source.shape[1:] != old:
                keras = source.reading.resize == "keras"
                how = "as Keras' own reader does" if keras else "and smoothed, unlike by Keras"
                notes.append(f"images are resized to {source.shape[1:]}, {how}")
        shape = source.shape[1:]
        if preprocess.function and dtypes.get(name, "float32").startswith("float"):
            shape = preprocess(source[part.rows[:1]]).shape[1:]
        elif len(wanted) == len(shape) + 1 and wanted[-1] in (1, None):
            channel.add(name)
            shape = (*shape, 1)
            notes.append(f"a channel dimension was added to the data: {shape}")
        if not _fits(shape, wanted):
            raise DataError(
                f"the data must fit the model's input {name!r} of shape {_told(wanted)}; "
                f"received samples of {_told(shape)}",
                hint=_shape_hint(shape, wanted),
            )
        sources[name] = source
    wanted_types = {name: dtypes.get(name, "float32") for name in sources}
    adapted = replace(part, sources=sources, channel=frozenset(channel), wanted=wanted_types)
    return adapted, notes


def check_labels(part_name: str, part: Subset, tasks: Mapping[str, Task]) -> None:
    """Raise a DataError if a part's labels do not fit the model's outputs."""
    labels = part.labels
    if labels is None:
        return
    if not isinstance(labels, Mapping):
        labels = {next(iter(tasks)) if len(tasks) == 1 else "": labels}
    if "" in labels and len(tasks) > 1:
        raise DataError(
            f"a model with several outputs needs labels for each; it has {', '.join(tasks)}",
            hint=f"name the arrays y_train/{next(iter(tasks))} and so on",
        )
    for name, values in _matched(labels, tasks, "output").items():
        _check_output(f"{part_name} labels", values, tasks[name])


def _check_output(who: str, labels: Any, task: Task) -> None:
    where, width = f"output {task.name!r} of shape {_told(task.shape)}", task.shape[-1:]
    shaped = task.shaped(labels).shape[1:]
    if not _fits(shaped, task.shape[:-1] if task.sparse else task.shape):
        kind = "one-hot labels of " if is_one_hot(labels) else ""
        raise DataError(f"{who} must fit the {where}; received {kind}{_told(labels.shape[1:])}")
    if task.kind == "classification" and width in ((), (1,)):
        raise DataError(
            f"classification needs an output for each class; {task.name!r} has one",
            hint="--task binary is for yes or no, --task regression for numbers",
        )
    if task.kind in ("binary", "tags") and not is_yes_or_no(labels):
        raise DataError(
            f"{who} must be 0 and 1 for one output; received classes up to {labels.max()}",
            hint="a model that tells several classes needs an output for each; --task regression "
            "says that the labels are numbers",
        )
    if task.kind == "classification" and not task.sparse:
        nameless = ~labels.any(axis=-1)
        if nameless.any():
            raise DataError(
                f"{who} name no class for {nameless.sum():,} of {nameless.size:,} answers, where "
                "all values are 0; scores and losses here count every label",
                hint="give them a class, or leave out the samples that have them",
            )
    if task.sparse:
        loss = task.objective.loss
        ignored = loss.options.get("ignore_class") if loss else None
        _check_class_numbers(who, labels, where, width[0] or 0, ignored)


def _check_class_numbers(
    who: str, labels: Any, where: str, classes: int, ignored: int | None
) -> None:
    if (labels != labels.astype(int)).any():
        raise DataError(
            f"{who} must be integers (or one-hot) for the {classes or 'several'} classes of the "
            f"{where}; received {labels.dtype} such as {labels.flat[0]}"
        )
    outside = (labels < 0) | (labels >= (classes or math.inf))
    if ignored is not None and outside.any() and (labels[outside] == ignored).all():
        raise DataError(
            f"{who} hold {ignored}, which the model's loss leaves out (ignore_class={ignored}); "
            "scores and losses here count every label, so that none may be left out",
            hint=f"give what is {ignored} one of the {classes or 'model'} classes, or leave out "
            "the samples that have it",
        )
    if outside.any():
        raise DataError(
            f"{who} must be 0 to {classes - 1} for the {where}; "
            f"received {int(labels.min())} to {int(labels.max())}",
            hint=_class_hint(int(labels.min()), int(labels.max()), classes),
        )


def _class_hint(least: int, most: int, classes: int) -> str:
    if least < 0 or (most == 255 and classes < 255):  # as VOC, Cityscapes and losses mark them
        return (
            f"{min(least, 0) or most} often marks elements that count for nothing; they cannot be "
            "left out: give them a class, or leave out the samples that have them"
        )
    return "count classes from 0" if least >= 1 else ""


def _matched(
    have: Mapping[str, Any], wanted: Mapping[str, Any], what: str
) -> dict[str, Source | Any]:
    """Return the arrays under the model's names, in the model's order."""
    if len(have) == 1 and len(wanted) == 1:
        return {next(iter(wanted)): next(iter(have.values()))}
    missing = [name for name in wanted if name not in have]
    if missing:
        side = "x" if what == "input" else "y"
        raise DataError(
            f"the model's {what} {missing[0]!r} has no array; the data has {', '.join(have)}",
            hint=near(missing[0], have, otherwise=f"name it {side}_train/{missing[0]}"),
        )
    return {name: have[name] for name in wanted}


def _fits(shape: Shape, wanted: Shape) -> bool:
    return len(shape) == len(wanted) and all(
        w is None or s == w for s, w in zip(shape, wanted, strict=True)
    )


def _told(shape: Shape) -> str:
    return "(" + ", ".join("any" if s is None else str(s) for s in shape) + ")"


def _shape_hint(shape: Shape, wanted: Shape) -> str:
    if len(shape) == len(wanted) + 1 and shape[-1] == 1:
        return "store the samples without their last dimension of 1"
    if len(shape) == 3 and len(wanted) == 3 and tuple(shape) == (wanted[2], *wanted[:2]):
        return "the channels come first in the data and last in the model: transpose the data"
    return "is this the data set that the model was trained on?"
