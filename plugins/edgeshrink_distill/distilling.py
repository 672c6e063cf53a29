"""Students, each taught along a chain from the teacher; of several the smallest that is good."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras

from edgeshrink.api import Context, UsageError
from edgeshrink.nn import ModelCount, count, functional, load_model, opened, save_model
from edgeshrink_distill.spec import Spec
from edgeshrink_distill.students import fitted, student
from edgeshrink_distill.trials import Trial, among_branches, teach

if TYPE_CHECKING:
    from edgeshrink_distill.options import Options


@dataclass(frozen=True)
class Taught:
    """A student that has learned.

    Attributes:
        spelled: as it was asked for.
        model: with the weights of the best trial.
        size: its parameters and multiply-accumulates.
        assistants: that were taught before it, the largest first.
        trials: in order.
        notes: what was found on the way.
        training: settings that were chosen for it.
    """

    spelled: str
    model: keras.Model
    size: ModelCount
    assistants: tuple[keras.Model, ...]
    trials: tuple[Trial, ...]
    notes: tuple[str, ...]
    training: Mapping[str, Any] = field(default_factory=dict)

    @property
    def best(self) -> Trial:
        """The trial whose weights the model has."""
        return max(self.trials, key=lambda trial: trial.score)


def distill(model: keras.Model, options: Options, context: Context) -> keras.Model:
    """Return a student taught by a model; of several, the smallest that scores well enough.

    Raises:
        UsageError: there is no teacher, and something is asked that one would do.
        ModelError: a student cannot be made, or does not fit its teacher.
    """
    if context.training.teacher == "none":
        refuse_without_teacher(options)
    spelled = (options.student, *options.candidates)
    own = [replace(context, facts={}) for _ in spelled]  # of several, one student's facts count
    learners = [
        student(Spec.parse(text), model, part, init=options.init, preprocess=options.preprocess)
        for text, part in zip(spelled, own, strict=True)
    ]
    before, found = count(model), []
    for place, (text, learner) in enumerate(zip(spelled, learners, strict=True)):
        part = _part(context, place, len(spelled), f"{text}: " if len(spelled) > 1 else "")
        found.append(_taught(text, learner, model, options, part))
    kept = chosen(found, options.tolerance)
    context.facts |= own[found.index(kept)].facts
    for place, assistant in enumerate(kept.assistants, 1):
        _keep(assistant, f"assistant_{place}.keras", context)
    if len(found) > 1:
        for place, one in enumerate(found, 1):
            _keep(one.model, f"student_{place}.keras", context)
    _tell(context, kept, before)
    _tell_trials(context, found, kept, options.tolerance)
    score = context.evaluate(kept.model)
    if score is not None:
        context.notes.append(
            f"validation score: the model before {context.evaluate(model):.4f}, the student "
            f"{score:.4f}"
        )
    return kept.model


def refuse_without_teacher(options: Options) -> None:
    """Refuse what a student that learns from labels alone would leave out.

    Raises:
        UsageError: naming the flag.
    """
    asked = {
        "assistant": options.assistant,
        "online": options.online > 1,
        "hints": options.hints,
        "teachers": options.teachers,
    }
    for name in (name for name, value in asked.items() if value):
        raise UsageError(
            f"without a teacher nobody is taught by --distill-{name}",
            hint=f"drop --distill-teacher none, or --distill-{name}",
        )


def chosen(found: Sequence[Taught], tolerance: float) -> Taught:
    """Return the student of fewest parameters among those within a tolerance of the best score."""
    best = max(one.best.score for one in found)
    good = [one for one in found if one.best.score >= best - tolerance]
    return min(good, key=lambda one: one.size.parameters)


def _taught(
    spelled: str, learner: keras.Model, model: keras.Model, options: Options, context: Context
) -> Taught:
    """Return a student taught by a model, perhaps through assistants.

    Soft targets: Hinton et al., 2015, section 2. Assistants between a large teacher and a small
    student: Mirzadeh et al., AAAI 2020, section 3. Several teachers, averaged: Hinton et al.,
    section 1. Khan and Mandal call the same single-step and multi-step distillation.
    """
    size, notes = count(learner), []
    assistants = tuple(
        student(chosen, model, context, init=options.init, preprocess="none")
        for chosen in _sizes(options.assistant, count(model), size)
    )
    unnamed = replace(options, hints=tuple(hint for hint in options.hints if hint == "auto"))
    source, answering = model, _averaged(model, options)
    for place, one in enumerate(assistants):
        part = _part(context, place, len(assistants) + 1, f"assistant {place + 1}: ")
        teach(one, source, answering, unnamed, part)
        source = answering = one
        notes.append(
            f"an assistant of {count(one).parameters:,} parameters learned first, and taught what "
            "follows"
        )
    part = _part(context, len(assistants), len(assistants) + 1, "student: ")
    part = replace(part, notes=notes)
    method = among_branches if options.online > 1 else teach
    learner, trials = method(learner, source, answering, options, part)
    chosen_ones = part.facts.get("training", {})
    return Taught(spelled, learner, size, assistants, tuple(trials), tuple(notes), chosen_ones)


def _part(context: Context, place: int, of: int, who: str) -> Context:
    """Return a context whose progress is one part of several, and that keeps facts to itself."""
    return replace(
        context,
        progress=lambda share, note: context.progress((place + share) / of, f"{who}{note}"),
        facts={},
        notes=[],
    )


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
        other = fitted(file, load_model(Path(file)), model, text)
        given = keras.tree.pack_sequence_as(other.input, functional(model).inputs)
        made = opened(other, given, lambda op, *args, **kwargs: op(*args, **kwargs))
        answers.append(keras.tree.flatten(made))
    mean = [
        sum(weight * one for weight, one in zip(weights, ones, strict=True)) / sum(weights)
        for ones in zip(*answers, strict=True)
    ]
    return keras.Model(functional(model).input, mean)


def _keep(model: keras.Model, name: str, context: Context) -> None:
    save_model(model, context.folder / name)
    context.companions.append(name)


def _tell(context: Context, kept: Taught, before: ModelCount) -> None:
    after = kept.size
    share = after.parameters / before.parameters
    context.facts["student_parameters"] = after.parameters
    context.notes.append(
        f"student {kept.spelled}: {after.parameters:,} of {before.parameters:,} parameters "
        f"({share:.1%}), {after.macs:,} of {before.macs:,} multiply-accumulates"
    )
    if after.parameters >= before.parameters:
        context.notes.append("the student has no fewer parameters than its teacher")
    if context.training.teacher == "none":
        context.notes.append("the student learned from labels alone, without its teacher")
    context.notes += kept.notes


def _tell_trials(context: Context, found: Sequence[Taught], kept: Taught, tolerance: float) -> None:
    context.facts["curve"] = list(kept.best.curve)
    if len(found) == 1 and not kept.assistants:  # else others chose other settings
        context.facts["training"] = dict(kept.training)
    if context.training.teacher != "none":
        context.facts["temperature"] = kept.best.temperature
        context.facts["alpha"] = kept.best.alpha
    trials = [
        {"student": one.spelled, "parameters": one.size.parameters, **vars(trial)}
        for one in found
        for trial in one.trials
    ]
    if len(trials) > 1:
        context.facts["trials"] = trials
    if len(kept.trials) > 1:
        said = "; ".join(
            f"T={t.temperature:g}, alpha {t.alpha:g}: {t.score:.4f}" for t in kept.trials
        )
        context.notes.append(
            f"validation scores: {said}; kept T={kept.best.temperature:g}, "
            f"alpha {kept.best.alpha:g}"
        )
    if len(found) > 1:
        said = "; ".join(
            f"{one.spelled}, {one.size.parameters:,} parameters: {one.best.score:.4f}"
            for one in found
        )
        context.notes.append(
            f"validation scores of students: {said}; kept {kept.spelled}, the smallest within "
            f"{tolerance:g} of the best"
        )
