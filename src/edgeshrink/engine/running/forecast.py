"""What the training of a run will take: told beforehand, and held to a time where one is given."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

from edgeshrink.engine.planning.request import Planned
from edgeshrink.engine.running.stages import Stages
from edgeshrink.errors import UsageError
from edgeshrink.recipes import Training

# Multiply-accumulates of all forward passes below which nobody waits, and nothing is timed.
SHORT = 3e11
# How much longer than its steps a training takes at most, with trials, a teacher and validation.
BESIDE = 1.8
# Of a time that is given; the rest is for what runs slower than when it was timed.
SPENT = 0.9


@dataclass(frozen=True)
class Forecast:
    """What training will take.

    Attributes:
        training: settings of each step that trains, by its place among the steps.
        epochs: of each, at most.
        seconds: of an epoch, trials and all, if the model were the uncompressed one.
    """

    training: dict[int, Training]
    epochs: dict[int, int]
    seconds: float

    def of(self, planned: Planned) -> Forecast:
        """Return the same for a plan in which steps were given other epochs."""
        given = {p: step.training for p, step in enumerate(planned.steps) if step.training}
        epochs = {
            place: most if given[place].epochs is None else given[place].epochs or 0
            for place, most in self.epochs.items()
        }
        return replace(self, epochs=epochs)

    def lines(self, planned: Planned) -> list[str]:
        """Return a sentence for each step that trains."""
        return [
            f"{planned.steps[place].step.name}: up to {epochs} epoch{'s' * (epochs != 1)}, "
            f"{about(epochs * self.seconds)}"
            for place, epochs in self.epochs.items()
        ]


def about(seconds: float) -> str:
    """Return a time in words.

    Example:
        >>> about(20), about(200), about(6000)
        ('less than a minute', 'about 3 min', 'about 1.7 h')
    """
    if seconds < 60:
        return "less than a minute"
    return f"about {seconds / 60:.0f} min" if seconds < 5400 else f"about {seconds / 3600:.1f} h"


def forecast(
    planned: Planned, stages: Stages, folder: Path, *, always: bool = False
) -> Forecast | None:
    """Return what training will take, timed on a few steps of the uncompressed model.

    Args:
        planned: the steps, and the data.
        stages: of the run.
        folder: for files on the way.
        always: time even what is soon done.

    Returns:
        None where nothing is trained, or too little for anybody to wait.
    """
    from edgeshrink.nn.graph import count
    from edgeshrink.nn.learning import Course, most_epochs

    trained = {
        place: step.training
        for place, step in enumerate(planned.steps)
        if step.training is not None and step.training.epochs != 0
    }
    if not trained or planned.data is None or planned.data.train is None:
        return None
    samples, model = len(planned.data.train), stages.base
    epochs = {p: most_epochs(model, training, samples) for p, training in trained.items()}
    shown = sum(n * trained[place].samples(samples) for place, n in epochs.items())
    if shown * count(model).macs < SHORT and not always:
        return None
    place, training = next(iter(trained.items()))
    context = stages.context(planned.steps[place], planned.base, folder)
    course = Course(model, replace(context, training=training))
    return Forecast(trained, epochs, BESIDE * course.pace() * course.steps)


def within(planned: Planned, found: Forecast, seconds: float) -> Planned:
    """Return a plan whose training fits in a time, with the epochs for it in steps and recipe.

    Epochs that were asked for stay.

    Args:
        planned: the steps.
        found: what training would take.
        seconds: that it may take.

    Raises:
        UsageError: the time is too short for one epoch of each step.
    """
    open_ones = [place for place, training in found.training.items() if training.epochs is None]
    wished = sum(found.epochs[place] for place in open_ones)
    asked = sum(found.epochs.values()) - wished
    left = SPENT * seconds / found.seconds - asked
    if left >= wished:
        return planned
    if left < len(open_ones):
        least = (asked + len(open_ones)) * found.seconds / SPENT
        raise UsageError(
            f"one epoch of each step takes {about(least)}; received a time of {seconds:g} s",
            hint=f"--time {math.ceil(least / 60)}m, or a smaller --epoch-size",
        )
    steps, methods = list(planned.steps), list(planned.recipe.steps)
    for place in open_ones:
        epochs = Training(epochs=max(1, int(found.epochs[place] * left / wished)))
        step = methods[place]
        methods[place] = type(step)(step.options, epochs.over(step.tuning))
        training = epochs.over(found.training[place])
        steps[place] = replace(steps[place], step=methods[place], training=training)
    recipe = replace(planned.recipe, steps=tuple(methods))
    return replace(planned, steps=tuple(steps), recipe=recipe)
