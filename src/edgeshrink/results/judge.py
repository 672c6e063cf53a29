"""The judge: runs models on the same inputs, and tells how right and how alike they are."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeshrink.devices import Session
from edgeshrink.models import RUNNABLE, TensorFacts, read_arrays, write_arrays
from edgeshrink.recipes import digest_of
from edgeshrink.results.apart import Apart, apart
from edgeshrink.results.metric import Metric, Score, with_own
from edgeshrink.results.paired import Paired, worst_class
from edgeshrink.results.scoring.scored import Answers, Scored, anomalies, boxes, chosen, plain
from edgeshrink.results.verdict import AGREEMENT, Drop, Verdict, allowed, near_chance
from edgeshrink.samples import Decoder, Subset, Task, labels_by_output, task_of

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
        truth: what judges samples and is no label of an output: 1 for each that is anomalous, else
            0, `(samples,)`; or boxes `(samples, most, 5)`; None where there is none.
        stored: the same samples for models that do the preprocessing themselves, where a run
            makes such a model.
    """

    inputs: Mapping[str, Path]
    labels: Mapping[str, Any]
    digest: str
    count: int
    synthetic: bool = False
    stored: Samples | None = None
    truth: Any = None

    def taken_by(self, artifact: Artifact) -> Samples:
        """Return these samples as a model takes them: itself does the preprocessing, or not."""
        return self.stored if self.stored and artifact.takes_stored else self


def samples_of(
    data: Dataset, part: Subset, name: str, folder: Path, outputs: Sequence[str]
) -> Samples:
    """Return a part of a data set as samples on disk."""
    inputs = data.write_inputs(part, folder / name)
    import numpy as np

    labels, stored = labels_by_output(part, outputs), None
    for output, own in data.given_back.items():
        labels[output] = np.load(inputs[own], mmap_mode="r", allow_pickle=False)
    if data.bakes:
        again = data.stored.write_inputs(part.as_stored(), folder / name / "stored")
        digest = digest_of({name: data.digest, "stored": True})
        stored = Samples(again, labels, digest, len(part), truth=part.truth)
    digest = digest_of({name: data.digest})
    return Samples(inputs, labels, digest, len(part), stored=stored, truth=part.truth)


@dataclass(frozen=True)
class NearChance:
    """A share of right answers that is hardly better than guessing.

    Attributes:
        value: the share, 0..1.
        guess: what always naming the commonest class gets.
        single: a sample has one answer.
        metric: whose value it is.
    """

    value: float
    guess: float
    single: bool
    metric: Metric


class Judge:
    """Runs models and compares what they say.

    Attributes:
        session: gives what runs .tflite files, when it is needed.
        tasks: what each output answers, by its name; without, labels alone tell it.
        decode: makes boxes of outputs; None where they are none.
    """

    def __init__(
        self,
        session: Callable[[], Session],
        folder: Path,
        metrics: Mapping[str, type[Metric]],
        *,
        record: str = "",
        tasks: Mapping[str, Task] | None = None,
        decode: str = "",
        progress: Callable[[float, str], None],
    ) -> None:
        metrics, record = with_own(metrics, record)
        self.session, self.folder, self.progress = session, folder, progress
        self.metrics, self.record, self.tasks = metrics, record, dict(tasks or {})
        self.decode = Decoder(decode) if decode else None

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
        scored = self._scored(outputs, samples)
        several = len({one.name for one in scored}) > 1
        found: list[Score] = []
        seen = set[str]()
        for one in scored:
            score = one.metric.score(one.answers.read(outputs), one.wanted)
            output = one.task.name if several else ""
            beside = bool(found) and (score.beside or one.name not in seen)
            found.append(replace(score, output=output, beside=beside))
            seen.add(one.name)
        return tuple(found)

    def p_value(self, base: Outputs, outputs: Outputs, samples: Samples) -> float | None:
        """Return how likely the score of record would differ as much by chance.

        McNemar's exact test where samples are right or wrong, else a paired z-test over samples.
        """
        paired = self.paired(base, outputs, samples)
        return paired.p_value if paired else None

    def paired(self, base: Outputs, outputs: Outputs, samples: Samples) -> Paired | None:
        """Return the values of the metric of record, sample by sample; None without labels."""
        from edgeshrink.nn.inputs import matched_outputs

        scored = self._scored(base, samples)
        if not scored:
            return None
        one = scored[0]
        now = dict(zip(base, matched_outputs(base, outputs), strict=True))
        drawn = one.drawn(base), one.drawn(now)
        change = None if drawn[0] is None or drawn[1] is None else drawn[1] - drawn[0]
        return Paired(one.metric, one.each(base), one.each(now), one.wanted, change)

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
        values = scored[0].each(outputs)
        return values if scored[0].metric.higher_is_better else -values

    def agreement(self, base: Outputs, outputs: Outputs, samples: Samples) -> Agreement:
        """Return how alike two models' outputs for the same samples are."""
        from edgeshrink.nn.inputs import agreement

        return agreement(base, outputs, tasks=self.tasks_of(base), synthetic=samples.synthetic)

    def verdict(
        self,
        base: Outputs,
        outputs: Outputs,
        samples: Samples,
        most: Drop | None,
        names: Sequence[str] = (),
    ) -> Verdict:
        """Return what a result is worth beside the base.

        Args:
            base: what the base says of the samples.
            outputs: what the result says of them.
            samples: that judge.
            most: what may be lost; None for what is usual.
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
                answers=agreed.answers,
                guess=guess,
                allowed=allowed(most, 1.0, None if guess == 1 else guess, share=True),
                synthetic=samples.synthetic,
            )
        metric = paired.metric
        before, after = (
            metric.value(float(values.mean())) for values in (paired.before, paired.after)
        )
        limit = allowed(most, before, guess, share=metric.proportion)
        if not metric.chance:
            guess = None  # it gave a limit, and is no yardstick
        elif (
            most is None and metric.proportion and guess is not None and near_chance(before, guess)
        ):
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
            worst_class(paired, names),
            apart=self._apart(base, outputs, samples),
            proportion=metric.proportion,
        )

    def _apart(self, base: Outputs, outputs: Outputs, samples: Samples) -> tuple[Apart, ...]:
        """Return the outputs on which a result is less like its base than is usual."""
        from edgeshrink.nn.inputs import matched_outputs

        tasks, made = self.tasks_of(base), matched_outputs(base, outputs)
        scored = self._scored(base, samples)
        tasks |= {one.name: one.task for one in scored if not one.answers.made}
        found = (
            apart(tasks[name], base[name], now, tasks[name].name if len(base) > 1 else "")
            for name, now in zip(base, made, strict=True)
        )
        return tuple(one for one in found if one is not None)

    def guess(self, outputs: Outputs, samples: Samples) -> float | None:
        """Return the score of always giving the same answer.

        That is how often each class is wanted, or the mean of the labels where they are no
        classes; without labels it is how often the model gives its commonest answer, and None
        where its answers are no classes.
        """
        scored = self._scored(outputs, samples)
        if scored:
            return scored[0].guess(outputs)
        name, values = next(iter(outputs.items()))
        task = self.tasks_of(outputs)[name]
        if task.kind != "classification":
            return None
        return _commonest(task.answers(values))

    def near_chance(self, outputs: Outputs, samples: Samples) -> NearChance | None:
        """Return the share of record and that of guessing, where a classifier hardly does better.

        Where a sample has many answers, most of them may be of one class, as the background of a
        mask is: then every share that is told of the output has to be near to guessing.

        Returns:
            None where there is no such share, or where one is above chance.
        """
        scored = self._scored(outputs, samples)
        if not scored or not scored[0].metric.proportion:
            return None
        shares = [s for s in scored if s.metric.proportion and s.answers is scored[0].answers]
        found = [(s.metric.value(float(s.each(outputs).mean())), s) for s in shares]
        pairs = [NearChance(v, s.guess(outputs), s.task.single, s.metric) for v, s in found]
        if not scored[0].metric.chance:  # any value tells something but that of nothing at all
            return pairs[0] if pairs[0].value <= pairs[0].guess else None
        return pairs[0] if all(near_chance(one.value, one.guess) for one in pairs) else None

    def tasks_of(self, outputs: Outputs) -> dict[str, Task]:
        """Return what outputs answer, by their own names: conversion may have changed these."""
        tasks, names = list(self.tasks.values()), list(outputs)
        if set(names) <= set(self.tasks):
            return {name: self.tasks[name] for name in names}
        if len(tasks) == len(names):
            return dict(zip(names, tasks, strict=True))
        return {n: task_of(TensorFacts(n, values.shape)) for n, values in outputs.items()}

    def _scored(self, outputs: Outputs, samples: Samples) -> list[Scored]:
        """Return what is scored by which metric, the one of record first."""
        import numpy as np

        answers: list[Answers] = []
        if self.decode is not None and samples.truth is not None:
            names = {name: task.name for name, task in self.tasks_of(outputs).items()}
            answers.append(boxes(self.decode, names, samples.truth))
        for name, task in self.tasks_of(outputs).items():
            labels = samples.labels.get(name, samples.labels.get(task.name))
            if labels is None and len(samples.labels) == 1 == len(outputs):
                labels = next(iter(samples.labels.values()))
            if labels is None:
                continue
            labels = np.asarray(labels)
            if not self.tasks:
                task = task_of(TensorFacts(name, outputs[name].shape), [labels])
            answers.append(plain(name, task, labels))
            if task.kind == "reconstruction":
                answers += anomalies(answers[-1], samples.truth)
        return chosen(answers, self.metrics, self.record)


def _commonest(answers: np.ndarray) -> float:
    """Return the share of the answer that is given most often."""
    import numpy as np

    return float(np.unique(answers, return_counts=True)[1].max()) / answers.size
