"""Load what `--data` names: read, checked, and split into disjoint parts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from edgeshrink.errors import UsageError
from edgeshrink.flag import build
from edgeshrink.samples.checks import check_classes, check_stored
from edgeshrink.samples.class_numbers import numbered
from edgeshrink.samples.dataset import Dataset, by_output_of
from edgeshrink.samples.files.reading import Reading
from edgeshrink.samples.kept import Kept
from edgeshrink.samples.model_outputs import ModelOutputs
from edgeshrink.samples.preprocess import Preprocess
from edgeshrink.samples.readers import from_value, read
from edgeshrink.samples.split import split_stored
from edgeshrink.samples.truth.boxes import boxes_apart
from edgeshrink.samples.truth.reconstruction import reconstructed


def load_dataset(
    spec: str,
    *,
    preprocess: str = "none",
    seed: int = 0,
    validation: float = 0.1,
    calibration: int = 200,
    hook: Callable[[str], Any] | None = None,
    outputs: ModelOutputs | None = None,
    classes: Sequence[str | int | float] = (),
    **reading: Any,
) -> Dataset:
    """Return the data that `spec` names, split into disjoint parts.

    Args:
        spec: an .npz, .csv or .parquet file, a folder of images or .wav files by class or a .zip
            of one, `keras:NAME`, or `module:function` that returns a dict of arrays.
        preprocess: as `Preprocess.from_spec` reads it.
        seed: of the splits.
        validation: share of the training samples held out for validation, at least 0, below 1.
        calibration: how many training samples serve for calibration, at least 1.
        hook: asked first; a result that is not None is used in place of `spec`.
        outputs: what is known of those of the model that the data is for.
        classes: what labels call its classes, in the order of its output; empty where they are
            numbered.
        reading: how files are read: options of `Reading`, such as `resize`.

    Raises:
        UsageError: an argument is wrong, or there is no such file.
        DataError: what it holds cannot be used.
    """
    prepared = Preprocess.from_spec(preprocess)
    how = build(Reading, reading, "data")
    if not 0 <= validation < 1:  # also refuses nan
        raise UsageError(f"validation must be at least 0 and below 1; received {validation}")
    if calibration < 1:
        raise UsageError(f"calibration must be at least 1 sample; received {calibration}")
    answer = hook(spec) if hook is not None else None
    outputs = outputs or ModelOutputs()
    if isinstance(answer, Dataset):
        how.check(spec, "")
        return replace(answer, outputs=outputs)
    stored = read(spec, how, outputs.plane) if answer is None else from_value(answer, spec)
    how.check(spec, stored.kind)
    if outputs.decode:
        stored = boxes_apart(stored, spec)
    stored = check_stored(numbered(stored, classes, spec) if classes else stored, spec)
    stored = replace(stored, labels={k: outputs.named(v) for k, v in stored.labels.items()})
    stored, shown = reconstructed(stored, spec, outputs)
    if stored.unlabelled is not None:
        raise stored.unlabelled
    if shown and not outputs.given:
        outputs = replace(outputs, given=shown)
    tasks = outputs.tasks(by_output_of(stored.labels))
    check_classes(stored, spec, tasks)
    split: dict[str, Any] = {"seed": seed, "validation": validation, "calibration": calibration}
    if outputs.given:
        split["task"] = outputs.given
    subsets, notes = split_stored(stored, spec, seed, validation, calibration, tasks)
    stored_as = {"val": "validation", "test": "test"}
    kept = {stored_as[name] for name in stored.inputs if name in stored_as}
    return Dataset(
        name=spec,
        **subsets,
        preprocess=prepared,
        bakes=False,
        class_names=stored.class_names,
        notes=(*stored.notes, *notes),
        split=split,
        read=stored.read,
        split_off=tuple(n for n in stored_as.values() if subsets[n] and n not in kept),
        fingerprint=stored.fingerprint,
        outputs=outputs,
        kept=Kept(),
        shown=shown,
    )
