"""How outputs are scored against labels, sample by sample, so that scores can be compared."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from edgeshrink import words
from edgeshrink.devices import NORMAL_95, wilson
from edgeshrink.errors import UsageError, near
from edgeshrink.models import import_object, own_name

if TYPE_CHECKING:
    import numpy as np

    from edgeshrink.samples import Task


@dataclass(frozen=True)
class Score:
    """A metric's value over a set of samples, with its 95 % interval.

    Attributes:
        metric: its name.
        value: over all samples; shares are 0..1.
        low: the lower end of the interval.
        high: the upper end.
        count: of samples.
        higher_is_better: the metric's direction.
        output: that was scored, where the model has several; else empty.
        beside: whether tables tell it though it is not the score of record.
        proportion: whether its values are shares; None leaves it to the metric's name.
    """

    metric: str
    value: float
    low: float
    high: float
    count: int
    higher_is_better: bool
    output: str = ""
    beside: bool = False
    proportion: bool | None = None

    @property
    def share(self) -> bool:
        """Whether its values are shares, 0..1."""
        return words.is_share(self.metric) if self.proportion is None else self.proportion

    @property
    def title(self) -> str:
        """The metric, and the output where there are several."""
        return f"{self.metric} {self.output}".strip()


class Metric(ABC):
    """A way to score a model's outputs.

    Args:
        task: what the output answers; None where that is not known.

    Attributes:
        name: as in `--metric`.
        title: what a table's column is headed with.
        tasks: what it applies to, of `classification`, `binary`, `tags`, `regression` and
            `reconstruction`; or of what is made of outputs: `anomaly`, how far a sample is
            from what is given back of it, and `boxes`.
        higher_is_better: the direction.
        proportion: whether values are shares, 0..1; where a sample has one answer, 0 or 1.
        beside: whether tables tell it beside the score of record.
        asked: whether it is told only where `--metric` or the compiled model asks for it.
        chance: whether the value of the best constant answer tells a model that learned nothing.
        requires: packages that it needs.
        of_made: whether it looks at what is made of outputs, and never at an output as it is.
        aliases: what Keras calls it: a model that was compiled with it is judged by it first.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    tasks: ClassVar[tuple[str, ...]]
    higher_is_better: ClassVar[bool] = True
    proportion: ClassVar[bool] = False
    beside: ClassVar[bool] = False
    asked: ClassVar[bool] = False
    chance: ClassVar[bool] = True
    requires: ClassVar[tuple[str, ...]] = ()
    of_made: ClassVar[bool] = False
    aliases: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, task: Task | None = None) -> None:
        self.task = task

    @property
    def counted(self) -> bool:
        """Whether each sample's value is 0 or 1: it has one answer, right or wrong."""
        return self.proportion and (self.task is None or self.task.single)

    @abstractmethod
    def per_sample(self, outputs: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Return one value a sample.

        Args:
            outputs: `(samples, ...)`, float.
            labels: class numbers `(samples, ...)` for classes, one for each element of a sample;
                else the shape of the outputs.

        Returns:
            `(samples,)` float, with the mean of the whole: of a sample that has several answers,
            as a mask does, the mean over these.
        """

    @classmethod
    def applies(cls, task: Task) -> bool:
        """Return whether the metric makes sense for what an output answers."""
        return task.kind in cls.tasks

    def value(self, mean: float) -> float:
        """Return the metric's value for a mean over samples; a greater mean gives no smaller one.

        Args:
            mean: of what `per_sample` returns.
        """
        return mean

    def resampled(self, outputs: np.ndarray, labels: np.ndarray) -> np.ndarray | None:
        """Return the value of as many samples, drawn with replacement, `(draws,)`.

        For a metric whose value is not known by what each sample adds. The same draws are made
        whenever there are as many samples, so that differences of two models are paired.

        Args:
            outputs: as `per_sample` takes them.
            labels: likewise.

        Returns:
            None where `per_sample` tells all.
        """
        return None

    def score(self, outputs: np.ndarray, labels: np.ndarray) -> Score:
        """Return the value over all samples with its 95 % interval.

        The interval is Wilson's (1927) where each sample is right or wrong, otherwise 1.96 standard
        errors of the mean over samples to each side, cut off at 0 where no value is less; where
        samples are drawn again, it is where 95 % of these draws are, mirrored at the value: what
        few samples flatter, draws of them flatter once more (the basic bootstrap). The
        elements of one sample, as the pixels of a mask, are not independent: they count as one.

        Args:
            outputs: `(samples, ...)`, float.
            labels: as `per_sample` takes them.
        """
        values = self.per_sample(outputs, labels)
        count, mean = len(values), float(values.mean())
        drawn = self.resampled(outputs, labels)
        if drawn is not None:
            ordered = sorted(drawn.tolist())
            rest = round(len(ordered) * 0.025)
            low, high = 2 * mean - ordered[-1 - rest], 2 * mean - ordered[rest]
            low, high = min(mean, low), max(mean, high)
            if self.proportion:
                low, high = max(0.0, low), min(1.0, high)
        elif self.counted:
            low, high = wilson(round(float(values.sum())), count)
        else:
            half = NORMAL_95 * float(values.std(ddof=1)) / math.sqrt(count) if count > 1 else 0.0
            positive = self.proportion or float(values.min()) >= 0
            low, high = max(0.0, mean - half) if positive else mean - half, mean + half
            high = min(1.0, high) if self.proportion else high
        return Score(
            self.name,
            self.value(mean),
            self.value(low),
            self.value(high),
            count,
            self.higher_is_better,
            beside=self.beside,
            proportion=self.proportion,
        )


def with_own(
    metrics: Mapping[str, type[Metric]], record: str
) -> tuple[Mapping[str, type[Metric]], str]:
    """Return the metrics, the user's own among them, and the name of the one of record.

    Args:
        metrics: by name.
        record: a name, `module:object` of the user's own, or empty for none.

    Raises:
        UsageError: there is no such metric, or the user's own is called as another is.
    """
    if ":" in record:
        own = own_metric(record)
        if own.name in metrics and metrics[own.name] is not own:
            raise UsageError(
                f"--metric {record}: there is a metric {own.name!r} already",
                hint="call your own otherwise",
            )
        return {**metrics, own.name: own}, own.name
    if record and record not in metrics:
        raise UsageError(
            f"no metric {record!r}",
            hint=near(record, metrics, otherwise="MODULE:FUNCTION is one of your own"),
        )
    return metrics, record


def own_metric(spec: str) -> type[Metric]:
    """Return a metric of the user's own as a class.

    Args:
        spec: `module:object` of a subclass of `Metric`, or of a function of labels and outputs, in
            Keras's order, that returns one value a sample; its `higher_is_better = False` says that
            less is better.

    Raises:
        UsageError: it is neither.
    """
    found = import_object(spec, what="--metric")
    if isinstance(found, type) and issubclass(found, Metric):
        return found
    if isinstance(found, type) or not callable(found) or not own_name(spec).isidentifier():
        raise UsageError(
            f"--metric {spec}: a {type(found).__name__} is no metric",
            hint="a function of labels and outputs that returns one value a sample",
        )

    def per_sample(self: Metric, outputs: np.ndarray, labels: np.ndarray) -> np.ndarray:
        import numpy as np

        try:
            values = np.asarray(found(labels, outputs))
        except Exception as error:  # the user's own code may raise anything
            raise UsageError(
                f"--metric {spec} raised {type(error).__name__}: {error}",
                hint=f"it was given labels of shape {labels.shape} and outputs of {outputs.shape}",
            ) from error
        if values.shape != (len(outputs),) or values.dtype.kind not in "fiub":
            raise UsageError(
                f"--metric {spec} must return a number for each sample, of shape "
                f"({len(outputs)},); received shape {values.shape} of {values.dtype}",
                hint="return one value a sample: their mean is the score",
            )
        if not np.isfinite(values).all():
            raise UsageError(
                f"--metric {spec} must return numbers; received {values[~np.isfinite(values)][0]} "
                f"for sample {int((~np.isfinite(values)).argmax())}"
            )
        return values.astype("float64")

    return type(
        own_name(spec),
        (Metric,),
        {
            "__doc__": getattr(found, "__doc__", None) or "A metric of the user's own.",
            "name": own_name(spec),
            "title": own_name(spec).replace("_", " "),
            "tasks": (),
            "applies": classmethod(lambda cls, task: True),
            "asked": True,
            "higher_is_better": bool(getattr(found, "higher_is_better", True)),
            "per_sample": per_sample,
        },
    )
