"""Nets of several widths learn what a model answers; the smallest that is alike enough is kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from edgeshrink.api import Context, Dataset, ModelError, Subset
from edgeshrink.nn import Course, Distillation, Supervision
from edgeshrink_sklearn.asking import OUTPUT
from edgeshrink_sklearn.features import STEPS
from edgeshrink_sklearn.points import around, how_many

if TYPE_CHECKING:
    from edgeshrink_sklearn.options import Options

COMPARED = 10_000  # samples on which answers are compared, and spreads are told, at most
LEAST = 8  # how many times less a feature may vary than the most varied, and be made as large
Likeness = Callable[[keras.Model], float]


@dataclass(frozen=True)
class Trial:
    """A net that has learned.

    Attributes:
        units: of its hidden layer.
        likeness: of its answers to the model's, on validation samples: 1 where they are the same.
        curve: the likeness after each epoch.
        net: with its weights.
    """

    units: int
    likeness: float
    curve: tuple[float, ...]
    net: keras.Model


@dataclass(frozen=True)
class Spread:
    """How values vary.

    Attributes:
        mean: of each column.
        deviation: what a column is divided by, so that all vary about as much.
    """

    mean: np.ndarray
    deviation: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray) -> Spread:
        """Return that of values `(samples, columns)`, each by itself."""
        deviation = values.std(axis=0)
        return cls(values.mean(axis=0), np.where(deviation > 0, deviation, 1.0))

    @classmethod
    def of_features(cls, values: np.ndarray) -> Spread:
        """Return that of features, of which those that vary little are not made much larger.

        Weights by which a pixel that is nearly always 0 is made as large as the others would leave
        few steps of 8 bits to these. A feature whose whole range is under a step of the widest
        is not in the same unit, and is taken by itself.
        """
        found = cls.of(values)
        ranges = np.ptp(values, axis=0)
        alike = ranges > ranges.max() / STEPS
        least = found.deviation[alike].max(initial=0) / LEAST
        return cls(found.mean, np.where(alike, np.maximum(found.deviation, least), found.deviation))


def imitated(model: keras.Model, options: Options, context: Context) -> keras.Model:
    """Return a net that answers as a model does; of several, the smallest that is alike enough.

    Args:
        model: takes `(samples, features)`, and answers with probabilities or numbers; only asked.
        options: which nets are tried.
        context: data and settings. Training samples teach, validation samples choose.

    Raises:
        ModelError: the model answers everything alike.
    """
    data = context.data
    assert data is not None
    assert data.train is not None
    samples = len(data.train)
    wider = surrounded(data, options.points, context.seed)
    assert wider.train is not None
    taken = _values(wider, wider.train)
    inputs, answers = Spread.of_features(taken), Spread.of(asked(model, taken))
    alike = likeness(model, _values(data, data.validation or data.train))
    if (np.ptp(asked(model, taken), axis=0) == 0).all():
        raise ModelError("the model gives the same answer to all samples: nothing can be learned")
    # what other steps are told of labels and images is not for this one
    alone = replace(context.training, teacher="original", loss=None, shift=None, flip=None)
    trials = []
    for place, units in enumerate(options.units):
        own = replace(
            context,
            data=wider,
            training=alone,
            evaluate=lambda net, most=None: alike(net),
            progress=_part(context, place, len(options.units), units),
            facts={},
        )
        trials.append(trial(model, units, inputs, answers, alike, own))
    kept = chosen(trials, options.tolerance)
    context.facts |= {
        "units": kept.units,
        "likeness": kept.likeness,
        "curve": list(kept.curve),
        "trials": [{"units": t.units, "likeness": t.likeness} for t in trials],
    }
    tell(context, trials, kept, samples, len(wider.train) - samples, options.tolerance)
    return kept.net


def surrounded(data: Dataset, asked_for: int | None, seed: int) -> Dataset:
    """Return a data set whose training samples have points around them, and no labels."""
    part = data.train
    assert part is not None
    sources = {}
    for name, column in part.inputs.items():
        stored = column.take(np.arange(len(part)))
        points = around(stored, how_many(asked_for, len(part)), seed)
        sources[name] = np.concatenate([stored, points])
    count = len(next(iter(sources.values())))
    made = replace(part, sources=sources, rows=np.arange(count), all_labels=None)
    told = f"{count} points, seed {seed}"
    return replace(data, train=made, fingerprint=lambda: f"{data.fingerprint()} {told}")


def trial(
    model: keras.Model,
    units: int,
    inputs: Spread,
    answers: Spread,
    alike: Likeness,
    context: Context,
) -> Trial:
    """Return a net of one hidden layer, taught by a model.

    Args:
        model: that teaches.
        units: of the hidden layer.
        inputs: how features vary: the net sees them with mean 0 and deviation 1.
        answers: how answers vary; numbers that are learned likewise.
        alike: what tells the likeness of a net's answers.
        context: data and settings.
    """
    keras.utils.set_random_seed(context.seed)
    of_classes = model.layers[-1].activation is keras.activations.softmax
    given = keras.Input(model.inputs[0].shape[1:], name=model.inputs[0].name)
    hidden, out = _layers(units, model.outputs[0].shape[-1], of_classes)
    x = keras.layers.Rescaling(list(1 / inputs.deviation), list(-inputs.mean / inputs.deviation))(
        given
    )
    y = out(hidden(x))
    if not of_classes:
        y = keras.layers.Rescaling(list(answers.deviation), list(answers.mean))(y)
    net = keras.Model(given, y)
    followed = Distillation(context.training.temperature, alpha=0.0, match="kl")
    course = Course(net, context, taught=Supervision(model, followed, labelled=False))
    course.run()
    plain = _layers(units, model.outputs[0].shape[-1], of_classes)
    made = keras.Model(given, plain[1](plain[0](given)), name=f"net_of_{model.name}")
    _fold(hidden, out, plain, inputs, None if of_classes else answers)
    return Trial(units, alike(made), tuple(context.facts["curve"]), made)


def _layers(units: int, width: int, of_classes: bool) -> tuple[keras.layers.Dense, ...]:
    return (
        keras.layers.Dense(units, activation="relu", name="hidden"),
        keras.layers.Dense(width, activation="softmax" if of_classes else None, name=OUTPUT),
    )


def _fold(
    hidden: keras.layers.Dense,
    out: keras.layers.Dense,
    plain: Sequence[keras.layers.Dense],
    inputs: Spread,
    answers: Spread | None,
) -> None:
    """Give layers the weights of those between two scalings, with the scalings within."""
    kernel, bias = (w.astype(np.float64) for w in hidden.get_weights())
    kernel = kernel / inputs.deviation[:, None]
    plain[0].set_weights([kernel, bias - inputs.mean @ kernel])
    kernel, bias = (w.astype(np.float64) for w in out.get_weights())
    if answers is not None:
        kernel, bias = kernel * answers.deviation, bias * answers.deviation + answers.mean
    plain[1].set_weights([kernel, bias])


def likeness(model: keras.Model, samples: np.ndarray) -> Likeness:
    """Return what tells how like a model's answers to samples another's are.

    Of probabilities it is the mean of what both give to the same classes, 0..1; of numbers the
    share of their variance that is met (R²), at most 1.

    Args:
        model: whose answers are wanted.
        samples: `(samples, features)`, as the model sees them.
    """
    wanted = asked(model, samples)
    of_classes = model.layers[-1].activation is keras.activations.softmax

    def told(net: keras.Model) -> float:
        given = asked(net, samples)
        if of_classes:
            return float(np.minimum(given, wanted).sum(axis=1).mean())
        missed, varied = np.square(given - wanted).sum(), np.square(wanted - wanted.mean(0)).sum()
        return float(1 - missed / varied) if varied else -float(missed)

    return told


def chosen(trials: Sequence[Trial], tolerance: float) -> Trial:
    """Return the trial of fewest units among those within a tolerance of the best likeness."""
    best = max(one.likeness for one in trials)
    return min((t for t in trials if t.likeness >= best - tolerance), key=lambda t: t.units)


def asked(model: keras.Model, samples: np.ndarray) -> np.ndarray:
    """Return a model's answers, `(samples, width)`."""
    size = 1024
    parts = (
        model.predict_on_batch(samples[start : start + size])
        for start in range(0, len(samples), size)
    )
    return np.concatenate([np.asarray(part) for part in parts])


def tell(
    context: Context,
    trials: Sequence[Trial],
    kept: Trial,
    samples: int,
    points: int,
    tolerance: float,
) -> None:
    """Say from what the net learned, and why it has its size."""
    context.notes.append(
        f"a net of {kept.units} hidden units learned the model's answers to {samples:,} training "
        f"samples and {points:,} points around them"
    )
    said = "; ".join(f"{t.units} units {t.likeness:.4f}" for t in trials)
    why = f"; kept {kept.units}, the smallest within {tolerance:g} of the best"
    context.notes.append(
        f"likeness of answers to validation samples, 1 at most: {said}"
        f"{why if len(trials) > 1 else ''}"
    )


def _values(data: Dataset, part: Subset) -> np.ndarray:
    """Return samples as the model sees them, as many as are compared."""
    rows = np.random.default_rng(0).permutation(len(part))[:COMPARED]
    return np.asarray(next(iter(data.values(part, rows).values())), np.float32)


def _part(context: Context, place: int, of: int, units: int) -> Callable[[float, str], Any]:
    """Return what tells progress of one of several trainings."""
    return lambda share, note: context.progress((place + share) / of, f"{units} units: {note}")
