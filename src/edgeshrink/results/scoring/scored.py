"""What a metric looks at: an output as it is, or what is made of it before it is judged."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from edgeshrink.errors import UsageError
from edgeshrink.part import pip_install, version_of
from edgeshrink.results.metric import Metric
from edgeshrink.samples import Decoder, Task

if TYPE_CHECKING:
    import numpy as np

    from edgeshrink.samples import Dataset

    Outputs = Mapping[str, np.ndarray]

# Samples whose errors are taken in one go: inputs may lie in a file that is larger than memory.
TOGETHER = 256


@dataclass(frozen=True, eq=False)  # arrays do not compare to one truth
class Answers:
    """Values that samples are judged by, and what is right of them.

    Attributes:
        name: of the output that they come from.
        task: what they answer.
        labels: what is right, `(samples, ...)`.
        read: gives them, `(samples, ...)`, of a model's outputs.
        made: they are no output, but made of outputs.
    """

    name: str
    task: Task
    labels: np.ndarray
    read: Callable[[Outputs], np.ndarray]
    made: bool = False

    @property
    def wanted(self) -> np.ndarray:
        """What is right, as metrics take it."""
        return self.task.wanted(self.labels)


def plain(name: str, task: Task, labels: np.ndarray) -> Answers:
    """Return an output as it is.

    Args:
        name: of the output, as the model's file has it.
        task: what it answers.
        labels: what is right, `(samples, ...)`.
    """
    return Answers(name, task, labels, lambda outputs: outputs[name])


def anomalies(one: Answers, truth: np.ndarray | None) -> Iterator[Answers]:
    """Yield how far samples are from what is given back of them, where labels judge that.

    Args:
        one: an output that gives an input back.
        truth: 1 for each sample that is anomalous, else 0; None where that is not known.
    """
    if truth is None or truth.ndim != 1 or truth.all() or not truth.any():
        return
    task = Task(one.task.name, "anomaly", (1,))
    inputs = one.labels

    def read(outputs: Outputs) -> np.ndarray:
        return squared_errors(outputs[one.name], inputs)

    yield Answers(one.name, task, truth, read, made=True)


def boxes(decode: Decoder, names: Mapping[str, str], truth: np.ndarray) -> Answers:
    """Return the boxes that are made of outputs.

    Args:
        decode: makes them.
        names: by the name of each output, what the uncompressed model calls it.
        truth: the boxes that are there, `(samples, most, 5)`.
    """

    def read(outputs: Outputs) -> np.ndarray:
        named = {names.get(name, name): values for name, values in outputs.items()}
        return decode(named)

    return Answers("boxes", Task("boxes", "boxes"), truth, read, made=True)


def squared_errors(outputs: np.ndarray, inputs: np.ndarray) -> np.ndarray:
    """Return the mean squared error of each sample, `(samples, 1)`.

    Args:
        outputs: what was given back, `(samples, ...)`.
        inputs: what should have been, of the same shape.
    """
    import numpy as np

    found = np.empty((len(outputs), 1))
    for start in range(0, len(outputs), TOGETHER):
        rows = slice(start, start + TOGETHER)
        missed = outputs[rows].astype("float64") - np.asarray(inputs[rows], "float64")
        found[rows, 0] = np.square(missed).reshape(len(missed), -1).mean(axis=1)
    return found


@dataclass(frozen=True, eq=False)  # arrays do not compare to one truth
class Scored:
    """Answers, and a metric for them."""

    answers: Answers
    metric: Metric

    @property
    def name(self) -> str:
        """The name of the output."""
        return self.answers.name

    @property
    def task(self) -> Task:
        """What is answered."""
        return self.answers.task

    @property
    def wanted(self) -> np.ndarray:
        """What is right, as the metric takes it."""
        return self.answers.wanted

    @property
    def compiled(self) -> bool:
        """Whether the model was compiled with this metric."""
        return not self.metric.aliases.isdisjoint(self.task.objective.metrics)

    @property
    def guess(self) -> Callable[[Outputs], float]:
        """Gives the metric's value for the best constant answer."""
        return partial(_guess, self)

    def drawn(self, outputs: Outputs) -> np.ndarray | None:
        """Return the metric's value of samples drawn again and again; None where it needs none."""
        return self.metric.resampled(self.answers.read(outputs), self.wanted)

    def each(self, outputs: Outputs) -> np.ndarray:
        """Return the metric's value for each sample, `(samples,)`."""
        return self.metric.per_sample(self.answers.read(outputs), self.wanted)


def _guess(one: Scored, outputs: Outputs) -> float:
    constant = one.task.constant(one.answers.labels, one.answers.read(outputs))
    return one.metric.value(float(one.metric.per_sample(constant, one.wanted).mean()))


def chosen(
    answers: list[Answers], metrics: Mapping[str, type[Metric]], record: str
) -> list[Scored]:
    """Return which metrics score which answers, the one of record first.

    That is the one that was asked for, else one of answers that are made for it, else one that the
    model was compiled with.

    Args:
        answers: that have labels.
        metrics: by name.
        record: that was asked for; empty for none.
    """
    asked = metrics.get(record)
    # a metric that was asked for is told even where it fits no output
    forced = asked is not None and not any(asked.applies(one.task) for one in answers)
    every = [
        Scored(one, cls(one.task))
        for one in answers
        for cls in metrics.values()
        if cls.of_made == one.made and (cls.applies(one.task) or (forced and cls is asked))
    ]
    found = [s for s in every if not s.metric.asked or s.compiled or type(s.metric) is asked]
    return sorted(
        found, key=lambda s: (s.metric.name != record, not s.answers.made, not s.compiled)
    )


def check_record(record: str, metrics: Mapping[str, type[Metric]], data: Dataset) -> None:
    """Raise a UsageError if a metric lacks what it looks at, or a package that it needs.

    Args:
        record: that was asked for; empty for none.
        metrics: by name.
        data: that judges.
    """
    kinds = {"boxes"} if data.outputs.decode else set[str]()
    needed = {
        name: list(one.requires)
        for name, one in metrics.items()
        if one.of_made and not kinds.isdisjoint(one.tasks)
    }
    for name, packages in needed.items():
        if missing := [one for one in packages if not version_of(one)]:
            raise UsageError(f"{name} needs {', '.join(missing)}", hint=pip_install(missing))
    asked = metrics.get(record)  # the user's own, of a module, looks at any output
    tasks = list(data.tasks.values())
    if asked is None or not tasks:
        return
    kinds |= {task.kind for task in tasks}
    if "reconstruction" in kinds and data.test is not None and data.test.truth is not None:
        kinds.add("anomaly")
    if "boxes" in asked.tasks and "boxes" not in kinds:
        raise UsageError(
            f"{record} judges boxes, and nothing makes boxes of what the model puts out",
            hint="--decode MODULE:FUNCTION names your function that does",
        )
    if asked.of_made and kinds.isdisjoint(asked.tasks):
        raise UsageError(
            f"{record} needs test labels that say which samples are anomalous, and a model that "
            "gives its input back",
            hint="--task reconstruction, with 0 (normal) and 1 (anomalous) as y_test",
        )
    if kinds <= {"reconstruction", "anomaly"} and kinds.isdisjoint(asked.tasks):
        fitting = [name for name, one in metrics.items() if not kinds.isdisjoint(one.tasks)]
        raise UsageError(
            f"{record} does not fit a model that gives its input back",
            hint=f"{', '.join(fitting)} do",
        )
