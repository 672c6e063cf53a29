"""The judge: runs models on the same inputs, and tells how right and how alike they are."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeshrink.devices import Session, mcnemar
from edgeshrink.errors import UsageError, near
from edgeshrink.models import RUNNABLE, read_arrays, write_arrays
from edgeshrink.recipes import digest_of
from edgeshrink.results.metric import Metric, Score
from edgeshrink.results.verdict import AGREEMENT, ClassChange, Verdict, allowed, near_chance
from edgeshrink.samples import Subset, labels_by_output, task_of

if TYPE_CHECKING:
    import numpy as np

    from edgeshrink.models import Artifact
    from edgeshrink.recipes import Agreement
    from edgeshrink.samples import Dataset

Outputs = dict[str, "np.ndarray"]


@dataclass(frozen=True)
class Samples:
    """Inputs on disk, as the model sees them, with their labels.

    Attributes:
        inputs: for each input a .npy file `(samples, ...)`.
        labels: by output name, for those outputs that have labels.
        digest: of what they are.
        count: of samples.
        synthetic: they were made up.
        stored: the same samples for models that do the preprocessing themselves, where a run
            makes such a model.
    """

    inputs: Mapping[str, Path]
    labels: Mapping[str, Any]
    digest: str
    count: int
    synthetic: bool = False
    stored: Samples | None = None

    def taken_by(self, artifact: Artifact) -> Samples:
        """Return these samples as a model takes them: itself does the preprocessing, or not."""
        return self.stored if self.stored and artifact.takes_stored else self


def samples_of(
    data: Dataset, part: Subset, name: str, folder: Path, outputs: Sequence[str]
) -> Samples:
    """Return a part of a data set as samples on disk."""
    inputs = data.write_inputs(part, folder / name)
    labels, stored = labels_by_output(part, outputs), None
    if data.bakes:
        again = data.stored.write_inputs(part.as_stored(), folder / name / "stored")
        stored = Samples(again, labels, digest_of({name: data.digest, "stored": True}), len(part))
    return Samples(inputs, labels, digest_of({name: data.digest}), len(part), stored=stored)


@dataclass(frozen=True, eq=False)  # arrays do not compare to one truth
class Paired:
    """What a metric says of each of the same samples before and after, `(samples,)`."""

    metric: Metric
    before: np.ndarray
    after: np.ndarray

    @property
    def p_value(self) -> float:
        """How likely the metric would differ as much by chance."""
        if self.metric.proportion:
            lost, gained = (self.before > self.after).sum(), (self.after > self.before).sum()
            return mcnemar(int(lost), int(gained))
        return paired_z(self.after - self.before)


class Judge:
    """Runs models and compares what they say.

    Attributes:
        session: gives what runs .tflite files, when it is needed.
        classes: whether outputs are scores of classes.
    """

    def __init__(
        self,
        session: Callable[[], Session],
        folder: Path,
        metrics: Mapping[str, type[Metric]],
        *,
        record: str = "",
        classes: bool = True,
        progress: Callable[[float, str], None],
    ) -> None:
        if record and record not in metrics:
            raise UsageError(f"no metric {record!r}", hint=near(record, metrics))
        self.session, self.folder, self.progress = session, folder, progress
        self.metrics, self.record, self.classes = metrics, record, classes

    def outputs(self, artifact: Artifact, samples: Samples, load: Callable[[], Any]) -> Outputs:
        """Return what a model file says of samples; kept on disk, so asked only once.

        Args:
            artifact: a Keras, .tflite or packed file.
            samples: what to run it on.
            load: gives the Keras model, where the file is one.
        """
        samples = samples.taken_by(artifact)
        key = digest_of({"model": artifact.digest, "samples": samples.digest})
        store = self.folder / f"{key[:24]}.npz"
        kept = read_arrays(store)
        if kept is not None:
            return kept
        found = self.run(artifact.path if artifact.kind in RUNNABLE else load(), samples)
        self.folder.mkdir(parents=True, exist_ok=True)
        write_arrays(store, found)
        return found

    def run(self, model: Any, samples: Samples) -> Outputs:
        """Return what a model says of samples: a Keras model, or the path of a .tflite."""
        if isinstance(model, Path):
            return self.session().predict(model, samples.inputs, self.progress)
        from edgeshrink.nn.inputs import predict

        return predict(model, samples.inputs)

    def scores(self, outputs: Outputs, samples: Samples) -> tuple[Score, ...]:
        """Return the scores of all metrics that apply, the one of record first."""
        return tuple(
            metric.score(outputs[name], labels)
            for name, labels, metric in self._scored(outputs, samples)
        )

    def p_value(self, base: Outputs, outputs: Outputs, samples: Samples) -> float | None:
        """Return how likely the score of record would differ as much by chance.

        McNemar's exact test for metrics whose single values are 0 or 1, else a paired z-test.
        """
        paired = self.paired(base, outputs, samples)
        return paired.p_value if paired else None

    def paired(self, base: Outputs, outputs: Outputs, samples: Samples) -> Paired | None:
        """Return the values of the metric of record, sample by sample; None without labels."""
        from edgeshrink.nn.inputs import matched_outputs

        scored = self._scored(base, samples)
        if not scored:
            return None
        name, labels, metric = scored[0]
        now = dict(zip(base, matched_outputs(base, outputs), strict=True))
        return Paired(
            metric, metric.per_sample(base[name], labels), metric.per_sample(now[name], labels)
        )

    def value(self, outputs: Outputs, samples: Samples) -> float | None:
        """Return the score of record, greater being better; None without labels."""
        scores = self.scores(outputs, samples)
        if not scores:
            return None
        return scores[0].value if scores[0].higher_is_better else -scores[0].value

    def each(self, outputs: Outputs, samples: Samples) -> np.ndarray | None:
        """Return the metric of record for each sample, greater being better; None without labels.

        A metric that is the root of a mean is given as what the mean is taken of.
        """
        scored = self._scored(outputs, samples)
        if not scored:
            return None
        name, labels, metric = scored[0]
        values = metric.per_sample(outputs[name], labels)
        return values if metric.higher_is_better else -values

    def agreement(self, base: Outputs, outputs: Outputs, samples: Samples) -> Agreement:
        """Return how alike two models' outputs for the same samples are."""
        from edgeshrink.nn.inputs import agreement

        return agreement(base, outputs, classes=self.classes, synthetic=samples.synthetic)

    def verdict(
        self,
        base: Outputs,
        outputs: Outputs,
        samples: Samples,
        most: float | None,
        names: Sequence[str] = (),
    ) -> Verdict:
        """Return what a result is worth beside the base.

        Args:
            base: what the base says of the samples.
            outputs: what the result says of them.
            samples: that judge.
            most: what may be lost, as `max_drop` returns it.
            names: of the classes, by number; empty for none.
        """
        paired = self.paired(base, outputs, samples)
        guess = self.guess(base, samples)
        if paired is None:
            agreed = self.agreement(base, outputs, samples)
            return Verdict(
                AGREEMENT,
                1.0,
                agreed.share,
                agreed.samples,
                guess=guess,
                allowed=allowed(most, 1.0, None if guess == 1 else guess, share=True),
                synthetic=samples.synthetic,
            )
        metric = paired.metric
        before, after = (
            metric.value(float(values.mean())) for values in (paired.before, paired.after)
        )
        limit = allowed(most, before, guess, share=metric.proportion)
        if most is None and metric.proportion and guess is not None and near_chance(before, guess):
            limit = math.inf  # nothing to lose: who goes on with such a base was told
        return Verdict(
            metric.name,
            before,
            after,
            len(paired.before),
            metric.higher_is_better,
            paired.p_value,
            guess,
            limit,
            worst_class(paired, self._scored(base, samples)[0][1], names),
        )

    def guess(self, outputs: Outputs, samples: Samples) -> float | None:
        """Return the score of always giving the same answer.

        That is how often each class is wanted, or the mean of the labels where they are no
        classes; without labels it is how often the model gives its commonest answer, and None
        where its answers are no classes.
        """
        import numpy as np

        scored = self._scored(outputs, samples)
        if not scored:
            answers = next(iter(outputs.values()))
            if not self.classes or answers.ndim < 2 or answers.shape[-1] < 2:
                return None
            return _commonest(answers.argmax(-1))
        name, labels, metric = scored[0]
        labels, shape = np.asarray(labels), outputs[name].shape
        if len(shape) > 1 and shape[-1] > 1 and labels.shape != shape:
            often = np.bincount(labels.reshape(-1).astype(np.int64), minlength=shape[-1])
            answers = np.broadcast_to(often / labels.size, shape)
        else:
            answers = np.broadcast_to(labels.mean(0), labels.shape).reshape(shape)
        return metric.value(float(metric.per_sample(answers, labels).mean()))

    def chance(self, outputs: Outputs, samples: Samples) -> float | None:
        """Return the share that always naming the commonest class gets right, for classifiers."""
        scored = self._scored(outputs, samples)
        return self.guess(outputs, samples) if scored and scored[0][2].proportion else None

    def _scored(self, outputs: Outputs, samples: Samples) -> list[tuple[str, Any, Metric]]:
        """Return output, labels and metric of each score, the one of record first."""
        found = []
        for place, (name, values) in enumerate(outputs.items()):
            labels = samples.labels.get(name)
            if labels is None and place == 0 and len(samples.labels) == 1 == len(outputs):
                labels = next(iter(samples.labels.values()))  # conversion renamed the output
            if labels is None:
                continue
            task = task_of(labels)
            for metric in (cls() for cls in self.metrics.values()):
                if metric.applies(values.shape, task) or metric.name == self.record:
                    found.append((name, labels, metric))
        return sorted(found, key=lambda entry: entry[2].name != self.record)


def paired_z(change: np.ndarray) -> float:
    """Return the two-sided p-value that changes `(samples,)` are 0 on average (paired z-test)."""
    error = float(change.std(ddof=1)) / math.sqrt(len(change)) if len(change) > 1 else 0.0
    return math.erfc(abs(float(change.mean())) / error / math.sqrt(2)) if error else 1.0


def worst_class(paired: Paired, labels: np.ndarray, names: Sequence[str]) -> ClassChange | None:
    """Return the class that lost most; None where none did, or a sample has no one class.

    Args:
        paired: right answers before and after.
        labels: of the samples.
        names: of the classes, by number; empty for none.
    """
    import numpy as np

    labels = np.asarray(labels)
    if not paired.metric.proportion or labels.dtype.kind not in "iuf":
        return None
    if task_of(labels) == "classification" and labels.ndim == 2 and labels.shape[1] > 1:
        labels = labels.argmax(-1)
    if labels.size != len(labels):
        return None
    numbers = labels.reshape(-1).astype(np.int64)
    if numbers.min() < 0:
        return None
    counts = np.bincount(numbers)
    before, after = (
        np.bincount(numbers, values) / np.maximum(counts, 1)
        for values in (paired.before, paired.after)
    )
    place = int(np.argmax(before - after))
    if before[place] <= after[place]:
        return None
    name = str(names[place]) if place < len(names) else str(place)
    return ClassChange(name, float(before[place]), float(after[place]), int(counts[place]))


def _commonest(answers: np.ndarray) -> float:
    """Return the share of the answer that is given most often."""
    import numpy as np

    return float(np.unique(answers, return_counts=True)[1].max()) / answers.size
