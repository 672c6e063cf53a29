"""Settings of a training that nobody gave: how long, at what rate, taught by whom, how varied."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from edgeshrink.errors import EdgeshrinkError
from edgeshrink.nn.graph import count
from edgeshrink.nn.learning.reparameterization import Reparameterized
from edgeshrink.nn.learning.supervision import Supervision, supervision_of
from edgeshrink.nn.learning.training import Course

if TYPE_CHECKING:
    import keras

    from edgeshrink.nn.learning.masks import Masks
    from edgeshrink.nn.learning.training import Schedule
    from edgeshrink.recipes import Context, Training


@dataclass(frozen=True)
class Effort:
    """What choosing and training may cost.

    Attributes:
        epochs: at most, where there are samples enough.
        long: epochs at most, where much is still lost after a trial.
        steps: training steps at least, where there are few samples.
        work: multiply-accumulates of the forward passes of all epochs, at most.
        trial: steps of a trial, at most.
    """

    epochs: int
    long: int
    steps: int
    work: float
    trial: int

    @property
    def longer(self) -> Effort:
        """The same effort where much is lost."""
        steps = round(self.steps * self.long / self.epochs)
        return replace(self, epochs=self.long, steps=steps)


EFFORTS = {
    "quick": Effort(4, 4, 400, 2e12, 100),
    "normal": Effort(14, 24, 1500, 7e12, 300),
    "thorough": Effort(45, 90, 6000, 4e13, 600),
}
LEAST_EPOCHS = 3
# The most epochs that few samples are shown for.
MOST_EPOCHS = 120
# A range test takes so many steps, fewer where they would be over a quarter of the training.
RANGE = (40, 100)
# A trial takes at most this part of the training that it is for ...
PART = 1 / 8
# ... and tells nothing in fewer steps than these. A training of fewer has the rate LOW.
LEAST_STEPS = 20
LOW = 1e-4
# What is still lost after a trial is much from this part of the original's score on.
MUCH = 0.02
# What the original's answers are softened by, and the labels weigh beside them.
TAUGHT = {"teacher": "original", "temperature": 4.0, "alpha": 0.1}
# A standard error of so many samples counts double.
FEW = 10
# Images are moved by at most this part of their sides.
MOVED = 1 / 16


def chosen_training(
    model: keras.Model | Reparameterized,
    context: Context,
    masks: Masks | None = None,
    schedule: Schedule | None = None,
    taught: Supervision | None = None,
) -> Context:
    """Return a context whose training settings are whole; the model stays as it is.

    Where both the rate and the epochs are given, nothing is chosen: labels teach, if nobody else
    is named.

    What is chosen depends on the model, the data, the settings and the seed alone: training samples
    give the rate, validation samples the length, the teacher and the shift, test samples nothing.

    The rate is that of a range test (Smith, WACV 2017, section 3.3) from the weights as the step
    damages them. The original's answers beside the labels, and then a shift of images, are taken
    where a short training with them ends better by more than noise, sample by sample. A step that
    loses nothing is trained for as long as a quick one; where much is still lost after the trial,
    for longer.

    Args:
        model: about to be trained.
        context: with the settings that were given.
        masks: zero patterns to hold.
        schedule: of the masks; trials are made with its final form.
        taught: what is learned, where that is not to be chosen.

    Raises:
        EdgeshrinkError: the loss is no number at any rate.
    """
    settings, data = context.training, context.data
    if data is None or data.train is None:
        return context  # whoever trains will say so
    if None not in (settings.lr, settings.epochs):
        return context  # who says both trains by hand
    if "training" in context.facts:  # an earlier round of the same step has chosen
        known = {k: v for k, v in context.facts["training"].items() if getattr(settings, k) is None}
        return replace(context, training=replace(settings, **known))
    start = model.get_weights()
    if schedule is not None:
        schedule.update(1.0)
    if masks is not None:
        masks.enforce()
    choice = _Choice(model, context, masks, taught)
    try:
        choice.make()
    finally:
        model.set_weights(start)
        if schedule is not None:
            schedule.update(0.0)
    names = ("epochs", "lr", "teacher", "temperature", "alpha", "shift")
    found = {
        name: value
        for name in names
        if getattr(settings, name) is None and (value := getattr(choice.settings, name)) is not None
    }
    context.facts["training"] = found
    if choice.told:
        context.notes.append(f"chosen: {', '.join(choice.told)}")
    return replace(context, training=choice.settings)


class _Choice:
    """What is chosen for one training, from the weights that the model has now.

    Attributes:
        settings: as far as they are chosen.
        told: each choice, in words.
    """

    def __init__(
        self, model: Any, context: Context, masks: Masks | None, taught: Supervision | None
    ) -> None:
        self.model, self.context, self.masks, self.taught = model, context, masks, taught
        self.settings, self.told = context.training, list[str]()
        self.effort = EFFORTS[self.settings.effort or "normal"]
        self.damaged = model.get_weights()
        data = context.data
        assert data is not None
        assert data.train is not None
        self.shown = self.settings.samples(len(data.train))
        self.steps = self.shown // min(self.settings.batch_size or 64, self.shown)

    def make(self) -> None:
        """Choose the length, then the rate, then what is learned from what."""
        free, before = self.settings.epochs is None, self.before()
        if free:
            now = None if before is None else self.each()
            lost = None if now is None else _mean(before - now)
            harmless = lost is not None and lost[0] <= lost[1]
            self.take(epochs=self.epochs(EFFORTS["quick"] if harmless else self.effort))
        alternatives = self.alternatives()
        plain = {"teacher": "none", "shift": 0}
        self.take(**{k: v for k, v in plain.items() if getattr(self.settings, k) is None})
        total = self.steps * (self.settings.epochs or 0)
        course = self.course(self.settings)
        if self.settings.lr is None:
            steps = min(max(total // 4, RANGE[0]), RANGE[1])
            self.take(lr=self.rate(course, steps) if total >= LEAST_STEPS else LOW)
            self.told.append(f"peak rate {self.settings.lr:g}")
        steps = min(self.effort.trial, int(total * PART))
        if (alternatives or free) and steps >= LEAST_STEPS:
            best = self.compare(course, alternatives, steps)
            if free and best is not None and before is not None:
                left = _mean(before - best)[0]
                if left > MUCH * abs(float(before.mean())):
                    self.take(epochs=self.epochs(self.effort.longer))
        if free:
            epochs = self.settings.epochs
            self.told.insert(0, f"{epochs} epoch{'s' * (epochs != 1)}")

    def take(self, **values: Any) -> None:
        """Settle on some values."""
        self.settings = replace(self.settings, **values)

    def epochs(self, effort: Effort) -> int:
        """Return how many epochs an effort allows, more where there are few samples."""
        macs = count(getattr(self.model, "model", self.model)).macs
        most = epochs_of(effort, macs, self.shown, self.steps)
        return min(most, self.settings.max_epochs or most)

    def each(self) -> np.ndarray | None:
        """Return how each validation sample is answered now; None without labels."""
        return self.context.evaluate_each(self.model)

    def before(self) -> np.ndarray | None:
        """Return how the original answers each validation sample.

        None where nothing can be scored, or where nothing was done to the model: then training is
        all that is asked for.
        """
        original = self.context.original()
        plain = not isinstance(self.model, Reparameterized)
        if plain and _same(original.get_weights(), self.damaged):
            return None
        return self.context.evaluate_each(original)

    def alternatives(self) -> list[tuple[str, dict[str, Any]]]:
        """Return what is tried beside labels alone, in words and as settings."""
        found: list[tuple[str, dict[str, Any]]] = []
        if self.settings.teacher is None and self.taught is None:
            taught = {k: v for k, v in TAUGHT.items() if getattr(self.settings, k) is None}
            found.append(("the original's answers beside the labels", taught))
        sides = [min(t.shape[1:3]) for t in self.model.inputs if len(t.shape) == 4]
        moved = int(min(sides, default=0) * MOVED)
        data = self.context.data
        placed = data is not None and data.placed  # labels would stay where they were
        if self.settings.shift is None and moved and not placed:
            found.append((f"shifts of up to {moved} px", {"shift": moved}))
        return found

    def rate(self, course: Course, steps: int) -> float:
        """Return the peak rate.

        Raises:
            EdgeshrinkError: the loss is no number at any rate.
        """
        self.context.progress(0.0, "choosing settings: the peak rate")
        rate = course.range_test(steps)
        if rate is None:
            raise EdgeshrinkError(
                "the loss is no number at any learning rate",
                hint="look at the data and its preprocessing",
            )
        return rate

    def course(self, settings: Training) -> Course:
        """Return a training by some settings."""
        lent = replace(self.context, training=replace(settings, lr=settings.lr or LOW))
        taught = self.taught or supervision_of(lent)
        return Course(self.model, lent, masks=self.masks, taught=taught)

    def compare(
        self, course: Course, alternatives: list[tuple[str, dict[str, Any]]], steps: int
    ) -> np.ndarray | None:
        """Take each alternative with which a short training ends better by more than noise.

        Returns:
            How each validation sample is answered after the best trial; None without labels.
        """
        best = self.trial(course, steps, "labels alone")
        if best is None:
            return None
        for said, values in alternatives:
            tried = replace(self.settings, **values)
            each = self.trial(self.course(tried), steps, said)
            if each is None:
                return best
            gain, noise = _mean(each - best)
            better = gain > noise
            if better:
                self.settings, best = tried, each
            self.told.append(
                f"{said if better else f'not {said}'} ({gain:+.2g} ± {noise:.1g} in a trial)"
            )
        return best

    def trial(self, course: Course, steps: int, said: str) -> np.ndarray | None:
        """Return how each validation sample is answered after a short training."""
        self.context.progress(0.0, f"choosing settings: {said}")
        course.trial(self.settings.lr or LOW, steps)
        each = self.each()
        self.model.set_weights(self.damaged)
        return each


def most_epochs(model: keras.Model, training: Training, samples: int) -> int:
    """Return how many epochs a training takes at most: those that are given, or would be chosen.

    Args:
        model: about to be trained.
        training: its settings.
        samples: there are.
    """
    if training.epochs is not None:
        return training.epochs
    effort, shown = EFFORTS[training.effort or "normal"], training.samples(samples)
    steps = shown // min(training.batch_size or 64, shown)
    most = epochs_of(effort.longer, count(model).macs, shown, steps)
    return min(most, training.max_epochs or most)


def epochs_of(effort: Effort, macs: int, shown: int, steps: int) -> int:
    """Return how many epochs an effort allows, more where there are few samples.

    Args:
        effort: bounds epochs, steps and work.
        macs: multiply-accumulates of the model, for one sample.
        shown: samples of an epoch.
        steps: of an epoch.
    """
    most = max(effort.epochs, min(MOST_EPOCHS, round(effort.steps / max(1, steps))))
    allowed = effort.work / (macs * shown) if macs else math.inf
    return max(min(LEAST_EPOCHS, most), min(most, int(min(allowed, MOST_EPOCHS))))


def _same(ones: list[np.ndarray], others: list[np.ndarray]) -> bool:
    """Return whether weights are the same."""
    return len(ones) == len(others) and all(map(np.array_equal, ones, others))


def _mean(values: np.ndarray) -> tuple[float, float]:
    """Return the mean of a difference, and its standard error, wider for few samples."""
    values = values.reshape(len(values), -1).mean(1)
    samples = len(values)
    if samples < 2:
        return float(values.mean()), math.inf
    error = float(values.std(ddof=1)) / math.sqrt(samples)
    return float(values.mean()), error * (1 + FEW / samples)
