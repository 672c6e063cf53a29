"""Dataset: samples for training, validation, calibration and testing, streamed from their file."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeshrink.errors import UsageError
from edgeshrink.models import TensorFacts, write_npy
from edgeshrink.samples.compatibility import adapt_inputs, check_labels
from edgeshrink.samples.kept import Kept
from edgeshrink.samples.model_outputs import ModelOutputs
from edgeshrink.samples.preprocess import Preprocess
from edgeshrink.samples.subset import Column, Subset
from edgeshrink.samples.task import Task
from edgeshrink.samples.truth.reconstruction import given_back

if TYPE_CHECKING:
    import numpy as np

# Samples preprocessed in one go when inputs are written to files.
WRITE_BATCH = 256


@dataclass(frozen=True, eq=False)
class Dataset:
    """Samples in disjoint parts, and how they are preprocessed.

    Training, validation and test samples are disjoint. Calibration samples are those that are
    stored as such, else a stratified sample of the training part: none of validation or test.

    Attributes:
        name: as the user wrote it.
        notes: what was decided for the user, in sentences.
        read: how stored files became values: for images `resize` and `decoder`.
        split_off: the parts that were not stored as such, but drawn from the training samples:
            of `validation` and `test`. A model that was trained on what is stored knows them.
        bakes: models that are made on the way take samples as they are stored.
        outputs: what is known of the outputs of the model that it is for.
        kept: what a preprocessing function made of samples.
        shown: the task that the data shows, as `--task` takes it; empty where it shows none.
    """

    name: str
    train: Subset | None
    validation: Subset | None
    calibration: Subset | None
    test: Subset | None
    preprocess: Preprocess = field(default_factory=Preprocess)
    class_names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    split: Mapping[str, Any] = field(default_factory=dict)
    read: Mapping[str, str] = field(default_factory=dict)
    split_off: tuple[str, ...] = ()
    bakes: bool = False
    fingerprint: Callable[[], str] = field(default=str, repr=False)
    outputs: ModelOutputs = field(default_factory=ModelOutputs)
    kept: Kept = field(default_factory=Kept, repr=False)
    shown: str = ""

    @cached_property
    def tasks(self) -> dict[str, Task]:
        """What each output answers, by its name, in order: told by the model and the labels."""
        labels = {
            name: part.labels if isinstance(part.labels, Mapping) else {"": part.labels}
            for name, part in self.subsets().items()
            if name != "calibration" and part.labels is not None
        }
        return self.outputs.tasks(by_output_of(labels))

    @cached_property
    def given_back(self) -> dict[str, str]:
        """The input that each output gives back, by their names; outputs that give none are absent.

        Raises:
            DataError: it is not known which input that is.
        """
        return given_back(self.tasks.values(), self.subsets().values())

    @property
    def labelled(self) -> bool:
        """Whether it is known what is right of a training sample: its labels, or itself."""
        return self.train is not None and (self.train.labels is not None or bool(self.given_back))

    @cached_property
    def digest(self) -> str:
        """SHA-256 of content, split and preprocessing, in hex; computed when first asked."""
        shapes = {
            name: column.shape[1:]
            for part in self.subsets().values()
            for name, column in part.inputs.items()
        }
        decides = [dict(self.split), self.preprocess.describe(), shapes]
        decides += filter(None, [self.preprocess.source])
        rest = json.dumps(decides, sort_keys=True)
        return hashlib.sha256((self.fingerprint() + rest).encode()).hexdigest()

    @cached_property
    def stored(self) -> Dataset:
        """The same samples for a model that does the preprocessing itself; bytes stay bytes."""
        parts = {name: part.as_stored() for name, part in self.subsets().items()}
        return replace(
            self,
            train=parts.get("train"),
            validation=parts.get("validation"),
            calibration=parts.get("calibration"),
            test=parts.get("test"),
            preprocess=Preprocess(),
            bakes=False,
        )

    def subsets(self) -> dict[str, Subset]:
        """Return the parts that there are, by name."""
        named = {
            "train": self.train,
            "validation": self.validation,
            "calibration": self.calibration,
            "test": self.test,
        }
        return {name: part for name, part in named.items() if part is not None}

    def counts(self) -> dict[str, int]:
        """Return how many samples each part has; 0 for a part that is missing."""
        found = self.subsets()
        names = ("train", "validation", "calibration", "test")
        return {name: len(found[name]) if name in found else 0 for name in names}

    def described(self) -> dict[str, Any]:
        """Return what a report says of the data: its name, counts, preprocessing and split."""
        return {
            "name": self.name,
            "counts": self.counts(),
            **self.read,
            "preprocess": self.preprocess.describe(),
            "split": dict(self.split),
            "split_off": list(self.split_off),
            "digest": self.digest,
            "class_names": list(self.class_names),
            "tasks": {name: task.kind for name, task in self.tasks.items()},
        }

    def python_snippet(self) -> tuple[str, tuple[str, ...], str]:
        """Return Python that reads one file as samples were, what it calls, and such files.

        The expression reads the file `file`; all are empty where samples are no files.
        """
        sources = [source for part in self.subsets().values() for source in part.sources.values()]
        snippet = getattr(sources[0], "python_snippet", None)
        return snippet() if snippet and len(set(map(type, sources))) == 1 else ("", (), "")

    @property
    def judged(self) -> bool:
        """Whether it is known what is right of samples of any part."""
        labels = (part.labels is not None for part in self.subsets().values())
        return any(labels) or bool(self.given_back)

    @property
    def placed(self) -> tuple[str, ...]:
        """The outputs that have an answer for each place of an image, as masks do."""
        return tuple(name for name, task in self.tasks.items() if len(task.elements) > 1)

    @property
    def sample_shape(self) -> tuple[int, ...] | None:
        """The shape of a sample as it is stored; None where there are several inputs."""
        part = next(iter(self.subsets().values()))
        columns = list(part.inputs.values())
        return tuple(map(int, columns[0].shape[1:])) if len(columns) == 1 else None

    def values(self, part: Subset, indices: Any) -> dict[str, np.ndarray[Any, Any]]:
        """Return samples of a part as the model sees them, by input name."""
        return {name: self._taken(column, indices) for name, column in part.inputs.items()}

    def batches(
        self, part: Subset, size: int, *, shuffle_seed: int | None = None
    ) -> Iterator[tuple[dict[str, np.ndarray[Any, Any]], Any]]:
        """Yield preprocessed inputs by name, with their labels; the last batch may be smaller.

        Args:
            part: one of this data set's parts.
            size: samples in a batch, at least 1.
            shuffle_seed: gives the order; None keeps that of the part.
        """
        import numpy as np

        if size < 1:
            raise UsageError(f"a batch must have at least 1 sample; received {size}")
        order = np.arange(len(part))
        if shuffle_seed is not None:
            order = np.random.default_rng(shuffle_seed).permutation(len(part))
        labels = part.labels
        for start in range(0, len(part), size):
            rows = order[start : start + size]
            if isinstance(labels, Mapping):
                yield self.values(part, rows), {name: y[rows] for name, y in labels.items()}
            else:
                yield self.values(part, rows), None if labels is None else labels[rows]

    def write_inputs(self, part: Subset, folder: Path) -> dict[str, Path]:
        """Write what the model sees to one .npy file for each input, batch by batch.

        Returns:
            The file of each input name.
        """
        import numpy as np

        folder.mkdir(parents=True, exist_ok=True)
        written = {}
        for position, (name, column) in enumerate(part.inputs.items()):
            path = folder / f"{position}_{re.sub(r'[^A-Za-z0-9_.-]', '_', name)}.npy"
            batches = (
                self._taken(column, rows)
                for start in range(0, len(part), WRITE_BATCH)
                for rows in [np.arange(start, min(start + WRITE_BATCH, len(part)))]
            )
            write_npy(path, batches, len(part))
            written[name] = path
        return written

    def made_stored(self, inputs: Mapping[str, Path], folder: Path) -> dict[str, Path]:
        """Write made-up inputs as they would be stored; what cannot be stored changes in `inputs`.

        Args:
            inputs: for each input a .npy file of values as the model sees them.
            folder: for the files of stored values.
        """
        import numpy as np

        folder.mkdir(parents=True, exist_ok=True)
        columns = next(iter(self.subsets().values())).inputs
        scale, offset = (np.array(v, "float32") for v in self.preprocess.affine or ((1.0,), (0.0,)))
        written = {}
        for name, path in inputs.items():
            values = np.load(path, allow_pickle=False)
            if columns[name].wanted.startswith("float"):
                values = (values - offset) / scale
                if columns[name].dtype == np.uint8:
                    values = np.clip(np.rint(values), 0, 255).astype(np.uint8)
                write_npy(path, [self.preprocess(values)], len(values))
            written[name] = folder / path.name
            write_npy(written[name], [values], len(values))
        return written

    def for_model(
        self,
        inputs: Mapping[str, Sequence[int | None]],
        outputs: Mapping[str, Sequence[int | None]] | None = None,
        dtypes: Mapping[str, str] | None = None,
    ) -> Dataset:
        """Return this data set with the input names, sizes and types of a model.

        A trailing channel dimension of 1 that is lacking is added; images are resized.

        Args:
            inputs: the shape of each input, batch dimension first, None where not fixed.
            outputs: the shape of each output; None leaves labels unchecked.
            dtypes: the type of each input that is not float32.

        Raises:
            DataError: the samples or labels do not fit.
        """
        notes = list(self.notes)
        adapted: dict[str, Subset | None] = {}
        for name, part in self.subsets().items():
            fitted, added = adapt_inputs(part, inputs, dtypes or {}, self.preprocess)
            notes += [note for note in added if note not in notes]
            adapted[name] = fitted
        made = replace(self._of(adapted), notes=tuple(notes))
        if outputs is None:
            return made
        facts = tuple(TensorFacts(name, tuple(shape)) for name, shape in outputs.items())
        return made.answering(replace(self.outputs, facts=facts))

    def answering(self, outputs: ModelOutputs) -> Dataset:
        """Return this data set as labels of a model's outputs.

        Args:
            outputs: of the model; those whose shape is not known are left unchecked.

        Raises:
            DataError: the labels do not fit.
        """
        if self.shown and not outputs.given:
            outputs = replace(outputs, given=self.shown)
        parts: dict[str, Subset | None] = {
            name: replace(part, all_labels=outputs.named(part.all_labels))
            if isinstance(part.all_labels, Mapping)
            else part
            for name, part in self.subsets().items()
        }
        made = replace(self._of(parts), outputs=outputs)
        if outputs.facts and all(output.shape is not None for output in outputs.facts):
            labelled = {n: task for n, task in made.tasks.items() if n not in made.given_back}
            for name, part in made.subsets().items():
                if name != "calibration":
                    check_labels(name, part, labelled)
        return made

    def _of(self, parts: Mapping[str, Subset | None]) -> Dataset:
        return replace(
            self,
            train=parts.get("train"),
            validation=parts.get("validation"),
            calibration=parts.get("calibration"),
            test=parts.get("test"),
        )

    def check_model(
        self,
        inputs: Mapping[str, Sequence[int | None]],
        outputs: Mapping[str, Sequence[int | None]],
    ) -> tuple[str, ...]:
        """Return notes on how the data fits a model; raise as `for_model` does if it does not."""
        return self.for_model(inputs, outputs).notes

    def _taken(self, column: Column, indices: Any) -> np.ndarray[Any, Any]:
        """Return samples of a column as the model sees them."""
        import numpy as np

        if column.wanted.startswith(("int", "uint")):  # not scaled; towards zero, as Keras casts
            return column.take(indices).astype(column.wanted)
        if not self.preprocess.function:
            return self.preprocess(column.take(indices))
        whole = replace(column, rows=np.arange(column.source.shape[0]))
        rows = column.rows[indices]
        return self.kept.take(column.source, rows, lambda some: self.preprocess(whole.take(some)))


def by_output_of(labels: Mapping[str, Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Return the labels of all parts by output."""
    names = dict.fromkeys(name for named in labels.values() for name in named)
    return {name: [of[name] for of in labels.values() if name in of] for name in names}
