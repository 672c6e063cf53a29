"""What the training of a run will take: told beforehand, and held to a time where one is given."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edgeshrink.engine.planning.request import Planned
from edgeshrink.engine.running.stages import Stages
from edgeshrink.errors import UsageError
from edgeshrink.recipes import Training

# Multiply-accumulates of all forward passes below which nobody waits, and nothing is timed.
SHORT = 3e11
# How much longer than the uncompressed model's steps a training takes at most: with trials, a
# teacher, and steps that hold zeros or shared values.
BESIDE = 2.2
# Trainings that are compiled, and each judged once, where settings are chosen: for the rate and
# labels, the original as teacher, shifts, and what is chosen.
COMPILED = 4
# Of a time that is given; the rest is for what runs slower than when it was timed.
SPENT = 0.75


@dataclass(frozen=True)
class Forecast:
    """What the training of a step will take.

    Attributes:
        place: of the step, from 0.
        name: of the step.
        epochs: of each training, at most.
        trainings: that the step makes.
        epoch_seconds: of an epoch, trials and all, if the model were the uncompressed one.
        fixed_seconds: of a training, however few its epochs.
        free: whether the epochs are chosen, and not given.
    """

    place: int
    name: str
    epochs: int
    trainings: int
    epoch_seconds: float
    free: bool
    fixed_seconds: float = 0.0

    @property
    def least(self) -> float:
        """Seconds of one epoch of each training."""
        return self.fixed + self.trainings * self.epoch_seconds

    @property
    def fixed(self) -> float:
        """Seconds of all trainings without their epochs."""
        return self.trainings * self.fixed_seconds

    @property
    def seconds(self) -> float:
        """Of all epochs."""
        return self.fixed + self.trainings * self.epochs * self.epoch_seconds

    def held(self, most: int | None) -> Forecast:
        """Return the same where the step chooses so many epochs at most."""
        return self if most is None else replace(self, epochs=min(self.epochs, most))

    def __str__(self) -> str:
        """Return a sentence."""
        times = f"{self.trainings} times " if self.trainings > 1 else ""
        said = f"{self.epochs} epoch{'s' * (self.epochs != 1)}"
        return f"{self.name}: {times}{'up to ' * self.free}{said}, {about(self.seconds)}"


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
) -> tuple[Forecast, ...]:
    """Return what training will take, timed on a few steps of the uncompressed model.

    Args:
        planned: the steps, and the data.
        stages: of the run.
        folder: for files on the way.
        always: time even what is soon done.

    Returns:
        One for each step that trains; none where that is too little for anybody to wait.
    """
    from edgeshrink.nn.graph import count
    from edgeshrink.nn.learning import Course, most_epochs

    trained = {
        place: step.training
        for place, step in enumerate(planned.steps)
        if step.training is not None
        and step.training.epochs != 0
        # such as a precision that another step trains for
        and not any(other.training is not None for other in step.step.before())
    }
    if not trained or planned.data is None or planned.data.train is None:
        return ()
    samples, model = len(planned.data.train), stages.base
    found = [
        Forecast(
            place,
            planned.steps[place].step.name,
            most_epochs(model, training, samples),
            planned.steps[place].step.trainings,
            float(training.samples(samples)),
            training.epochs is None,
        )
        for place, training in trained.items()
    ]
    # by now in samples, as long as it is not known how long one takes
    if sum(one.seconds for one in found) * count(model).macs < SHORT and not always:
        return ()
    place, training = next(iter(trained.items()))
    context = stages.context(planned.steps[place], planned.base, folder)
    started = time.perf_counter()
    course = Course(model, replace(context, training=training))
    pace = course.pace()
    compiled = time.perf_counter()
    context.evaluate(model)
    judging = time.perf_counter() - compiled
    return tuple(
        replace(
            one,
            epoch_seconds=BESIDE * pace * one.epoch_seconds / course.size + judging,
            fixed_seconds=COMPILED * (compiled - started + judging),
        )
        for one in found
    )


def within(found: Sequence[Forecast], seconds: float) -> dict[int, int]:
    """Return how many epochs each step may choose at most, for all to fit in a time.

    Args:
        found: what training would take.
        seconds: that it may take.

    Returns:
        By the place of the step; steps whose epochs are given are not in it.

    Raises:
        UsageError: the time is too short for one epoch of each step, or for those that are given.
    """
    given = sum(one.seconds for one in found if not one.free)
    free = [one for one in found if one.free]
    least = given + sum(one.least for one in free)
    if SPENT * seconds < least:
        raise UsageError(
            f"{'one epoch of each step' if free else 'the epochs that are given'} "
            f"may take {about(least)}; received a time of {seconds:g} s",
            hint=f"--time {math.ceil(least / SPENT / 60)}m, or "
            + ("a smaller --epoch-size" if free else "fewer --epochs"),
        )
    fixed = sum(one.fixed for one in free)
    wished = sum(one.seconds for one in free) - fixed
    part = min(1.0, (SPENT * seconds - given - fixed) / wished) if wished else 1.0
    return {one.place: max(1, int(one.epochs * part)) for one in free}


def limited(planned: Planned, most: Mapping[int, int]) -> Planned:
    """Return a plan whose steps choose so many epochs at most, by place; its recipe says so."""
    steps, methods = list(planned.steps), list(planned.recipe.steps)
    for place, epochs in most.items():
        limit, step, training = Training(max_epochs=epochs), methods[place], steps[place].training
        assert training is not None
        methods[place] = type(step)(step.options, limit.over(step.tuning))
        steps[place] = replace(steps[place], step=methods[place], training=limit.over(training))
    recipe = replace(planned.recipe, steps=tuple(methods))
    return replace(planned, steps=tuple(steps), recipe=recipe)
