"""Trials: one student trained from one start, at each temperature and share of labels."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import keras

from edgeshrink.api import Context
from edgeshrink.nn import Course, Distillation, Supervision, chosen_training, functional
from edgeshrink_distill.hints import pairs
from edgeshrink_distill.online import Branches

if TYPE_CHECKING:
    from edgeshrink_distill.options import Options


@dataclass(frozen=True)
class Trial:
    """A training at one temperature and share of labels.

    Attributes:
        temperature: of the softened answers.
        alpha: the share of labels.
        score: on validation samples; where labels are not used, the agreement with the teacher.
        curve: the validation score after each epoch; where labels are not used, the negative loss.
    """

    temperature: float
    alpha: float
    score: float
    curve: tuple[float, ...]


def teach(
    learner: keras.Model,
    source: keras.Model,
    answering: keras.Model,
    options: Options,
    context: Context,
) -> tuple[keras.Model, list[Trial]]:
    """Train a student in place, at each temperature and share of labels; keep the best.

    All trials begin with the same weights, and share one compiled training step.

    Args:
        learner: the student.
        source: whose features the hints follow.
        answering: whose answers are followed: `source`, or an average with others.
        options: what is followed, and how.
        context: data and settings.

    Returns:
        The student, and the trials in order.
    """
    settings = context.training
    if settings.teacher == "none":
        taught = Supervision()
        context = chosen_training(learner, context, taught=taught)
        return learner, [_trial(Course(learner, context, taught=taught), context, 1.0, 1.0)]
    labelled = settings.teacher != "only"
    warmth, share = (keras.Variable(1.0, trainable=False) for _ in range(2))
    followed = pairs(learner, source, options.hints, options.hint_kind)
    hints = tuple(pair.hint(options.hint_kind, options.hint_weight) for pair in followed)
    if hints:
        context.notes.append(
            f"hints by {options.hint_kind} (student → teacher): {', '.join(map(str, followed))}"
        )
    teacher = keras.Model(
        functional(source).input, [*answering.outputs, *(pair.theirs for pair in followed)]
    )
    temperatures = options.temperature or (settings.temperature,)
    alphas = options.alpha or (settings.alpha,)
    beside = labelled and all(alphas) and _has_labels(context)
    # z-scores leave the size of logits free, and labels tell it
    match = options.match or ("zscore" if beside and not options.noise else "kl")
    distillation = Distillation(warmth, share, match, options.noise)
    taught = Supervision(teacher, distillation, labelled, hints)
    warmth.assign(temperatures[0])
    share.assign(alphas[0] if labelled else 0.0)
    start = learner.get_weights()
    regressors = [hint.distance.get_weights() for hint in hints]
    context = chosen_training(learner, context, taught=taught)
    course = Course(learner, context, taught=taught)
    trials, best = [], start
    for temperature, alpha in itertools.product(temperatures, alphas):
        warmth.assign(temperature)
        share.assign(alpha if labelled else 0.0)
        learner.set_weights(start)
        for hint, weights in zip(hints, regressors, strict=True):
            hint.distance.set_weights(weights)
        trial = _trial(course, context, temperature, alpha)
        if not trials or trial.score > max(t.score for t in trials):
            best = learner.get_weights()
        trials.append(trial)
    learner.set_weights(best)
    return learner, trials


def among_branches(
    learner: keras.Model,
    source: keras.Model,
    answering: keras.Model,
    options: Options,
    context: Context,
) -> tuple[keras.Model, list[Trial]]:
    """Train a student as several branches that teach each other; return the best of them."""
    branches = Branches(learner, options.online)
    answers = keras.Model(
        functional(answering).input, [answering.outputs[0]] * len(branches.model.outputs)
    )
    _, trials = teach(branches.model, source, answers, options, branches.lent(context))
    place, best = branches.best(context)
    context.notes.append(
        f"{options.online} branches shared what is before {branches.split} and taught each other; "
        f"branch {place + 1} is kept"
    )
    return best, trials


def _has_labels(context: Context) -> bool:
    data = context.data
    return data is not None and data.labelled


def _trial(course: Course, context: Context, temperature: float, alpha: float) -> Trial:
    course.run()
    alone = context.training.teacher == "only"
    score = None if alone else context.evaluate(course.model)
    if score is None:  # losses at several temperatures do not compare
        score = context.agreement(course.model).share
    return Trial(temperature, alpha, score, tuple(context.facts["curve"]))
