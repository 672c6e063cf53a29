"""Models that give their input back: what they are trained towards, and which samples are normal.

An autoencoder is trained on normal samples, to give each back. What it gives back badly is
anomalous; labels say 1 of such a sample and 0 of a normal one, and judge alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from edgeshrink.errors import DataError
from edgeshrink.models import TensorFacts, by_output
from edgeshrink.samples.files.stored import Stored
from edgeshrink.samples.model_outputs import ModelOutputs
from edgeshrink.samples.subset import Column, Source, Subset, chunks
from edgeshrink.samples.task import Task, is_yes_or_no

if TYPE_CHECKING:
    import numpy as np

KIND = "reconstruction"
TAKES = "the inputs themselves, or 0 (normal) and 1 (anomalous), one for each sample"


def reconstructed(stored: Stored, spec: str, outputs: ModelOutputs) -> tuple[Stored, str]:
    """Return what is stored, the labels of outputs that give their input back in their place.

    Labels that are the inputs are dropped: such an output is trained towards its input as the model
    sees it. Labels that say which samples are anomalous become the truth.

    Args:
        stored: arrays by the part that they were stored for.
        spec: what the user named, for errors.
        outputs: what is known of the model's outputs, and what the user says of them.

    Returns:
        What is stored, and the task that it shows where none was given: labels that are the inputs,
        or training samples without labels and test samples with 0 and 1, for an output of the
        input's shape. Else an empty text.

    Raises:
        DataError: labels are nothing of that, or test samples are all of one kind.
    """
    shown = "" if outputs.given else _shown(stored, outputs)
    said = by_output(outputs.given or shown)
    known = [output.name for output in outputs.facts]
    names = {name for name, kind in said.items() if kind == KIND}
    if not names:
        return stored, ""
    labels: dict[str, dict[str, np.ndarray[Any, Any]]] = {}
    truth: dict[str, np.ndarray[Any, Any]] = {}
    for part, named in stored.labels.items():
        labels[part] = {}
        for name, values in named.items():
            where = f"y{f'_{part}' if part else ''}{f'/{name}' if name else ''} in {spec}"
            own = len(known) == 1 or said.get(name, said.get("", "")) == KIND
            if not own:
                labels[part][name] = values
            elif not _are_inputs(values, stored.inputs[part]):
                truth[part] = _truth(values, where, stored)
    for part in ("test", ""):
        if part in truth and len(truth[part]) > 1 and len(set(truth[part].tolist())) == 1:
            kind = "1, anomalous" if truth[part][0] else "0, normal"
            raise DataError(
                f"labels must tell samples of both kinds, 0 (normal) and 1 (anomalous); "
                f"y{f'_{part}' if part else ''} in {spec} is all {kind}",
                hint="without these labels the model is scored by how well it gives inputs back",
            )
    kept = {part: named for part, named in labels.items() if named}
    alone = not kept  # no output has labels, so that no part lacks any
    return replace(
        stored,
        labels=kept,
        truth=truth,
        class_names=() if truth and alone else stored.class_names,
        unlabelled=None if alone else stored.unlabelled,
    ), shown


def given_back(tasks: Iterable[Task], parts: Iterable[Subset]) -> dict[str, str]:
    """Return the name of the input that each output gives back, by the output's name.

    It is the one that is called as the output is, else the only one of its shape.

    Args:
        tasks: of the outputs; those that give no input back are left out.
        parts: of the data, as the model takes it.

    Raises:
        DataError: no input has the output's shape, or several have.
    """
    inputs = next((part.inputs for part in parts), {})
    giving = [task for task in tasks if task.kind == KIND] if inputs else []
    return {task.name: _input_of(task, inputs) for task in giving}


def _input_of(task: Task, inputs: Mapping[str, Column]) -> str:
    fitting = [name for name, one in inputs.items() if _fits(one.shape[1:], task.shape)]
    if task.name in fitting or len(fitting) == 1:
        return task.name if task.name in fitting else fitting[0]
    told = ", ".join(f"{name!r} of {one.shape[1:]}" for name, one in inputs.items())
    if fitting:
        raise DataError(
            f"output {task.name!r} gives an input back, and several have its shape: {told}",
            hint="call the output as the input that it gives back",
        )
    raise DataError(
        f"a reconstruction has the shape of an input; output {task.name!r} is of {task.shape}, "
        f"the inputs are {told}",
        hint="--task regression is for numbers that are not the input",
    )


def _fits(sample: tuple[int, ...], output: tuple[int | None, ...]) -> bool:
    return len(sample) == len(output) and all(
        b is None or a == b for a, b in zip(sample, output, strict=True)
    )


def _shown(stored: Stored, outputs: ModelOutputs) -> str:
    """Return the task where labels leave no doubt that the model gives its input back."""
    if len(outputs.facts) != 1 or any(len(named) != 1 for named in stored.inputs.values()):
        return ""
    output = outputs.facts[0]
    sources = {part: next(iter(named.values())) for part, named in stored.inputs.items()}
    if not all(_like_output(source, output) for source in sources.values()):
        return ""
    labels = {part: list(named.values()) for part, named in stored.labels.items()}
    if any(len(values) != 1 for values in labels.values()) or not labels:
        return ""
    own = {part for part, (y,) in labels.items() if _are_inputs(y, stored.inputs[part])}
    tested = {part for part in ("test", "val") if part in labels and part not in own}
    if own | tested != set(labels):
        return ""
    wide = math.prod(size or 1 for size in (output.shape or ())[1:]) > 1
    flags = all(_one_each(y) and is_yes_or_no(y) for part in tested for y in labels[part])
    learned = {"train", ""} & sources.keys() - own - set(labels)
    if tested and not (wide and flags and output.activation != "softmax" and (learned or own)):
        return ""
    return KIND


def _like_output(source: Source, output: TensorFacts) -> bool:
    """Tell whether samples are as an output is, but for a last axis of 1."""
    if output.shape is None:
        return False
    sample, wanted = tuple(source.shape[1:]), tuple(output.shape[1:])
    return _fits(sample, wanted) or (wanted[-1:] in ((1,), (None,)) and _fits(sample, wanted[:-1]))


def _one_each(labels: np.ndarray[Any, Any]) -> bool:
    return labels.size == len(labels)


def _are_inputs(labels: np.ndarray[Any, Any], inputs: Mapping[str, Source]) -> bool:
    """Tell whether labels are the samples of an input, value by value."""
    for source in inputs.values():
        if labels.size != math.prod(source.shape) or len(labels) != source.shape[0]:
            continue
        like = labels.reshape(source.shape)
        if all((like[rows] == source[rows]).all() for rows in chunks(source)):
            return True
    return False


def _truth(values: np.ndarray[Any, Any], where: str, stored: Stored) -> np.ndarray[Any, Any]:
    """Return 1 for each sample that is anomalous, 0 for each that is normal, `(samples,)`."""
    if not _one_each(values):
        raise DataError(
            f"labels of what gives its input back must be {TAKES}; {where} is of {values.shape}"
        )
    flat = values.reshape(-1)
    if stored.class_names:
        return _named(flat, where, stored)
    if not is_yes_or_no(flat):
        raise DataError(
            f"labels of what gives its input back must be {TAKES}; {where} has {flat.min()} to "
            f"{flat.max()}"
        )
    return flat.astype("uint8")


def _named(flat: np.ndarray[Any, Any], where: str, stored: Stored) -> np.ndarray[Any, Any]:
    """Return which samples are anomalous: those of another class than the training samples."""
    learned = stored.labels.get("train")
    seen = {int(one) for values in (learned or {}).values() for one in values.reshape(-1)}
    if len(seen) != 1:
        names = ", ".join(stored.class_names[one] for one in sorted(seen)) or "none"
        raise DataError(
            f"of classes with names, that of the training samples is the normal one; {where} is "
            f"told by names, and training samples have {names}",
            hint="training samples of one class, such as train/normal; or labels 0 and 1",
        )
    anomalous: np.ndarray[Any, Any] = flat != seen.pop()
    return anomalous.astype("uint8")
