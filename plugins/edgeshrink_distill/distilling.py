"""A chain of lessons, from the teacher to the student."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import keras

from edgeshrink.api import Context
from edgeshrink.nn.count import ModelCount, count
from edgeshrink.nn.lesson import Lesson
from edgeshrink.nn.load import load_model, save_model
from edgeshrink.nn.rewrite import functional, opened
from edgeshrink.nn.teaching import Teaching
from edgeshrink.nn.training import Course
from edgeshrink_distill.hints import pairs
from edgeshrink_distill.online import Branches
from edgeshrink_distill.spec import Spec
from edgeshrink_distill.students import fitted, student

if TYPE_CHECKING:
    from edgeshrink_distill import Options


@dataclass(frozen=True)
class Trial:
    """A training at one temperature and share of labels.

    Attributes:
        temperature: of the softened answers.
        alpha: the share of labels.
        score: on validation samples, else the negative loss.
        curve: the same after each epoch.
    """

    temperature: float
    alpha: float
    score: float
    curve: tuple[float, ...]


def distill(model: keras.Model, options: Options, context: Context) -> keras.Model:
    """Return a student taught by a model, perhaps through assistants.

    Soft targets: Hinton et al., 2015, section 2. Assistants between a large teacher and a small
    student: Mirzadeh et al., AAAI 2020, section 3. Several teachers, averaged: Hinton et al.,
    section 1. Khan and Mandal call the same single-step and multi-step distillation.

    Raises:
        ModelError: a student cannot be made, or does not fit its teacher.
    """
    spec = Spec.parse(options.student)
    learner = student(spec, model, context, init=options.init, preprocess=options.preprocess)
    before, after = count(model), count(learner)
    assistants = [
        student(chosen, model, context, init=options.init, preprocess="none")
        for chosen in _sizes(options.assistant, before, after)
    ]
    chain = [*assistants, learner]
    _tell(context, options, before, after)
    context.notes += [
        f"an assistant of {count(a).parameters:,} parameters learned first, and taught what follows"
        for a in assistants
    ]
    source, taught = model, _averaged(model, options)
    unnamed = replace(options, hints=tuple(hint for hint in options.hints if hint == "auto"))
    for place, one in enumerate(chain):
        last = one is chain[-1]
        who = "student" if last else f"assistant {place + 1}"
        part = replace(
            context,
            progress=lambda share, note, place=place, who=who: context.progress(
                (place + share) / len(chain), f"{who}: {note}"
            ),
        )
        if options.online > 1 and last:
            one, trials = among_branches(one, source, taught, options, part)
        else:
            trials = teach(one, source, taught, options if last else unnamed, part)
        source = taught = learner = one
        if not last:
            name = f"assistant_{place + 1}.keras"
            save_model(one, context.folder / name)
            context.companions.append(name)
    _tell_trials(context, trials)
    score = context.evaluate(learner)
    if score is not None:
        context.notes.append(
            f"validation score: the model before {context.evaluate(model):.4f}, the student "
            f"{score:.4f}"
        )
    return learner


def teach(
    learner: keras.Model,
    source: keras.Model,
    taught: keras.Model,
    options: Options,
    context: Context,
) -> list[Trial]:
    """Train a student in place, at each temperature and share of labels; keep the best.

    All trials begin with the same weights, and share one compiled training step.

    Args:
        learner: the student.
        source: whose features the hints follow.
        taught: whose answers are followed: `source`, or an average with others.
        options: what is followed, and how.
        context: data and settings.

    Returns:
        The trials, in order.
    """
    settings = context.training
    if settings.teacher == "none":
        course = Course(learner, context, taught=Lesson())
        return [Trial(1.0, 1.0, course.run(), tuple(context.facts["curve"]))]
    labelled = settings.teacher != "only"
    warmth, share = (keras.Variable(1.0, trainable=False) for _ in range(2))
    followed = pairs(learner, source, options.hints)
    hints = tuple(pair.hint(options.hint_kind, options.hint_weight) for pair in followed)
    if hints:
        context.notes.append(
            f"hints by {options.hint_kind} (student → teacher): {', '.join(map(str, followed))}"
        )
    teacher = keras.Model(
        functional(source).input, [*taught.outputs, *(pair.theirs for pair in followed)]
    )
    teaching = Teaching(warmth, share, options.match, options.noise)
    course = Course(learner, context, taught=Lesson(teacher, teaching, labelled, hints))
    start = learner.get_weights()
    regressors = [hint.distance.get_weights() for hint in hints]
    trials, best = [], start
    wanted = itertools.product(
        options.temperature or (settings.temperature,), options.alpha or (settings.alpha,)
    )
    for temperature, alpha in wanted:
        warmth.assign(temperature)
        share.assign(alpha if labelled else 0.0)
        learner.set_weights(start)
        for hint, weights in zip(hints, regressors, strict=True):
            hint.distance.set_weights(weights)
        trial = Trial(temperature, alpha, course.run(), tuple(context.facts["curve"]))
        if not trials or trial.score > max(t.score for t in trials):
            best = learner.get_weights()
        trials.append(trial)
    learner.set_weights(best)
    return trials


def among_branches(
    learner: keras.Model,
    source: keras.Model,
    taught: keras.Model,
    options: Options,
    context: Context,
) -> tuple[keras.Model, list[Trial]]:
    """Train a student as several branches that teach each other; return the best of them."""
    branches = Branches(learner, options.online)
    answers = keras.Model(
        functional(taught).input, [taught.outputs[0]] * len(branches.model.outputs)
    )
    trials = teach(branches.model, source, answers, options, branches.lent(context))
    place, best = branches.best(context)
    context.notes.append(
        f"{options.online} branches shared what is before {branches.split} and taught each other; "
        f"branch {place + 1} is kept"
    )
    return best, trials


def _sizes(assistants: Sequence[str], before: ModelCount, after: ModelCount) -> list[Spec]:
    """Return what assistants are made as; by themselves they halve the way in parameters.

    Parameters go with the square of the width.
    """
    ratio = after.parameters / before.parameters
    automatic = sum(text == "auto" for text in assistants)
    steps = iter(range(1, automatic + 1))
    found = []
    for text in assistants:
        if text == "auto":
            found.append(Spec(width=min(0.95, ratio ** (next(steps) / (automatic + 1) / 2))))
        else:
            found.append(Spec.parse(text))
    return found


def _averaged(model: keras.Model, options: Options) -> keras.Model:
    """Return a model with the average of all teachers' answers, on the first one's inputs."""
    if not options.teachers:
        return functional(model)
    texts = options.teachers_preprocess or ("none",)
    texts = texts * len(options.teachers) if len(texts) == 1 else texts
    weights = options.weights or (1.0,) * (1 + len(options.teachers))
    answers = [functional(model).outputs]
    for file, text in zip(options.teachers, texts, strict=True):
        other = fitted(load_model(Path(file)), model, text)
        given = keras.tree.pack_sequence_as(other.input, functional(model).inputs)
        made = opened(other, given, lambda op, *args, **kwargs: op(*args, **kwargs))
        answers.append(keras.tree.flatten(made))
    mean = [
        sum(weight * one for weight, one in zip(weights, ones, strict=True)) / sum(weights)
        for ones in zip(*answers, strict=True)
    ]
    return keras.Model(functional(model).input, mean)


def _tell(context: Context, options: Options, before: ModelCount, after: ModelCount) -> None:
    share = after.parameters / before.parameters
    context.facts["student_parameters"] = after.parameters
    context.notes.append(
        f"student {options.student}: {after.parameters:,} of {before.parameters:,} parameters "
        f"({share:.1%}), {after.macs:,} of {before.macs:,} multiply-accumulates"
    )
    if after.parameters >= before.parameters:
        context.notes.append("the student is no smaller than its teacher")
    if context.training.teacher == "none":
        context.notes.append("the student learned from labels alone, without its teacher")


def _tell_trials(context: Context, trials: Sequence[Trial]) -> None:
    best = max(trials, key=lambda trial: trial.score)
    context.facts["curve"] = list(best.curve)
    if context.training.teacher != "none":
        context.facts["temperature"], context.facts["alpha"] = best.temperature, best.alpha
    if len(trials) > 1:
        context.facts["trials"] = [vars(trial) for trial in trials]
        said = "; ".join(f"T={t.temperature:g}, alpha {t.alpha:g}: {t.score:.4f}" for t in trials)
        context.notes.append(
            f"validation scores: {said}; kept T={best.temperature:g}, alpha {best.alpha:g}"
        )
