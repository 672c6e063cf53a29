"""Settings of a training that nobody gave: its peak rate, who teaches, and how long it takes."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from edgeshrink.errors import EdgeshrinkError
from edgeshrink.nn.graph import count
from edgeshrink.nn.learning.reparameterization import Reparameterized
from edgeshrink.nn.learning.supervision import supervision_of
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
        steps: training steps at least, where there are few samples.
        work: multiply-accumulates of the forward passes of all epochs, at most.
        trial: steps of a trial.
    """

    epochs: int
    steps: int
    work: float
    trial: int


EFFORTS = {
    "quick": Effort(4, 400, 2e12, 100),
    "normal": Effort(14, 1500, 7e12, 300),
    "thorough": Effort(45, 6000, 4e13, 600),
}
LEAST_EPOCHS = 3
# The most epochs that few samples are shown for.
MOST_EPOCHS = 120
# Where a score says nothing of its noise, it must be better by this part to count.
BETTER = 0.01


def chosen_training(
    model: keras.Model | Reparameterized,
    context: Context,
    masks: Masks | None = None,
    schedule: Schedule | None = None,
) -> Context:
    """Return a context whose training settings are whole; the model stays as it is.

    What is chosen depends on the model, the data, the settings and the seed alone: training samples
    give the rate, validation samples the teacher, and test samples nothing.

    The rate is that of a range test (Smith, WACV 2017, section 3.3) from the weights as the step
    damages them; a teacher is taken where a short training with it ends better by more than noise.

    Args:
        model: about to be trained.
        context: with the settings that were given.
        masks: zero patterns to hold.
        schedule: of the masks; trials are made with its final form.

    Raises:
        EdgeshrinkError: the loss is no number at any rate.
    """
    settings = context.training
    if None not in (settings.lr, settings.epochs, settings.teacher):
        return context
    if "training" in context.facts:  # an earlier round of the same step has chosen
        known = {k: v for k, v in context.facts["training"].items() if getattr(settings, k) is None}
        return replace(context, training=replace(settings, **known))
    effort = EFFORTS[settings.effort or "normal"]
    start = model.get_weights()
    if schedule is not None:
        schedule.update(1.0)
    if masks is not None:
        masks.enforce()
    damaged = model.get_weights()
    found: dict[str, Any] = {}
    if settings.epochs is None:
        found["epochs"] = _epochs(model, context, effort)
    try:
        found |= _taught(model, context, masks, effort, damaged)
    finally:
        model.set_weights(start)
        if schedule is not None:
            schedule.update(0.0)
    context.facts["training"] = found
    told = ", ".join(f"{name} {value}" for name, value in found.items())
    context.notes.append(f"chosen for this step: {told}")
    return replace(context, training=replace(settings, **found))


def _epochs(model: Any, context: Context, effort: Effort) -> int:
    """Return how many epochs: more where few samples or much damage ask for them."""
    data, settings = context.data, context.training
    assert data is not None
    assert data.train is not None
    shown = settings.samples(len(data.train))
    steps = max(1, shown // min(settings.batch_size or 64, shown))
    most = max(effort.epochs, min(MOST_EPOCHS, round(effort.steps / steps)))
    seen = getattr(model, "model", model)
    work = count(seen).macs * shown
    allowed = effort.work / work if work else math.inf
    return max(min(LEAST_EPOCHS, most), min(most, int(min(allowed, MOST_EPOCHS))))


def _taught(
    model: Any, context: Context, masks: Masks | None, effort: Effort, damaged: list[Any]
) -> dict[str, Any]:
    """Return the peak rate and the teacher, as far as they are open."""
    settings = context.training
    teachers = ("none", "original") if settings.teacher is None else (settings.teacher,)
    found: dict[str, Any] = {}
    best: tuple[float, dict[str, Any]] | None = None
    for place, teacher in enumerate(teachers):
        tried: dict[str, Any] = {"teacher": teacher} if settings.teacher is None else {}
        training = _whole(replace(settings, **tried))
        given = replace(context, training=training)
        context.progress(0.0, f"choosing settings: {'labels' if teacher == 'none' else teacher}")
        course = Course(model, given, masks=masks, taught=supervision_of(given))
        if settings.lr is None and "lr" not in found:
            rate = course.range_test()
            if rate is None:
                raise EdgeshrinkError(
                    "the loss is no number at any learning rate",
                    hint="look at the data and its preprocessing",
                )
            found["lr"] = rate
        if len(teachers) == 1:
            return found | tried
        course.trial(settings.lr or found["lr"], effort.trial)
        score = context.evaluate(model)
        model.set_weights(damaged)
        if score is None:
            return found | {"teacher": "original" if place else "none"}
        if best is None or score > best[0] + _noise(best[0], context):
            best = score, tried
    assert best is not None
    return found | best[1]


def _whole(training: Training) -> Training:
    """Return settings with what a course needs to be compiled."""
    return replace(training, epochs=training.epochs or 1, lr=training.lr or 1e-4)


def _noise(score: float, context: Context) -> float:
    """Return how much better a score must be to count: one standard error of a paired share."""
    data = context.data
    samples = len(data.validation) if data is not None and data.validation is not None else 0
    if samples and 0 <= score <= 1:
        return math.sqrt(max(score * (1 - score), 1 / samples) / samples)
    return BETTER * abs(score)
