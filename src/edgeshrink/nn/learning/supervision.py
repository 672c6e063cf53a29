"""What a model is to learn: from labels, from a teacher's answers, and from its inner features."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from edgeshrink.errors import DataError, UsageError
from edgeshrink.models import import_object, own_name
from edgeshrink.nn.graph import structured
from edgeshrink.nn.learning.augmentation import mirrored, shifted
from edgeshrink.nn.learning.class_weights import KINDS, class_weights, sample_weights
from edgeshrink.nn.learning.distillation import Distillation
from edgeshrink.nn.learning.losses import Hint, OutputLoss, output_loss
from edgeshrink.nn.learning.outputs import output_facts
from edgeshrink.samples import Task, labels_by_output

if TYPE_CHECKING:
    from edgeshrink.recipes import Context

BATCHES_TOGETHER = 16


@dataclass(frozen=True)
class Itself:
    """The labels of an output that gives an input back: that input, varied as the model sees it.

    Attributes:
        input: its name.
        shape: of all samples, `(samples, ...)`.
    """

    input: str
    shape: tuple[int, ...]


Labels = Mapping[str, "np.ndarray | Itself"]


@dataclass(frozen=True)
class Supervision:
    """What a model learns: labels, a teacher's answers, or both.

    Attributes:
        teacher: gives an answer for each output of the model, in order, then a feature for each
            hint; None without a teacher.
        distillation: how its answers are followed.
        labelled: whether labels are learned too, where there are some.
        hints: features of the model that follow the teacher's.
    """

    teacher: keras.Model | None = None
    distillation: Distillation = field(default_factory=Distillation)
    labelled: bool = True
    hints: tuple[Hint, ...] = ()


def supervision_of(context: Context) -> Supervision:
    """Return what a step's settings say: labels, the uncompressed model's answers, or both."""
    settings, data = context.training, context.data
    unlabelled = data is not None and data.train is not None and not data.labelled
    if settings.teacher not in ("original", "only") and not unlabelled:
        return Supervision()
    chosen = {
        name: value
        for name in ("temperature", "alpha")
        if (value := getattr(settings, name)) is not None
    }
    return Supervision(
        context.original(), Distillation(**chosen), labelled=settings.teacher != "only"
    )


def objectives(
    model: keras.Model, context: Context, taught: Supervision | None = None
) -> tuple[dict[str, OutputLoss], dict[str, np.ndarray | Itself]]:
    """Return what a model is trained towards: the loss of each output, and its labels.

    Args:
        model: has the outputs.
        context: its data and settings.
        taught: what is learned; None for what the settings say.

    Returns:
        By output name the loss, and `(samples, ...)` labels where there are any, or the input that
        stands for them; a teacher is needed where a loss has a soft part.

    Raises:
        DataError: there are no training samples.
        UsageError: Keras has no loss of the name that is asked for, or the model no such output.
    """
    data, settings = context.data, context.training
    if data is None or data.train is None:
        raise DataError(
            "training needs training samples", hint="pass --data with a train part, or --epochs 0"
        )
    taught = supervision_of(context) if taught is None else taught
    tasks = tasks_of(model, context)
    stored = labels_by_output(data.train, [task.name for task in tasks.values()])
    chosen = settings.losses(tasks)
    labels: dict[str, np.ndarray | Itself] = {
        name: task.shaped(stored[task.name])
        for name, task in tasks.items()
        if taught.labelled and task.name in stored
    }
    for name, task in tasks.items():
        if taught.labelled and task.name in data.given_back:
            source = data.given_back[task.name]
            labels[name] = Itself(source, data.train.inputs[source].shape)
    own = {own_name(spec): import_object(spec, what="--loss") for spec in context.custom}
    weighed = _weighed(settings.class_weight, tasks, labels, data.class_names)
    losses = {
        name: output_loss(
            task,
            name in labels,
            chosen=chosen[name],
            own=own,
            weigh=weighed.get(name),
            distillation=taught.distillation if taught.teacher is not None else None,
        )
        for name, task in tasks.items()
    }
    return losses, labels


def _weighed(
    text: str | None,
    tasks: Mapping[str, Task],
    labels: Labels,
    names: Sequence[str],
) -> dict[str, Callable[[Any], Any]]:
    """Return, by output, what gives the weights of labels; nothing where all count alike.

    Raises:
        UsageError: no output answers classes, or there is no such class.
    """
    if text is None:
        return {}
    given = {name: v for name, v in labels.items() if not isinstance(v, Itself)}
    if labels and not given:
        raise UsageError(
            "--class-weight is for classes, and the model gives its input back", hint="drop it"
        )
    able = [name for name in given if tasks[name].kind in KINDS] or list(given)[:1]
    if len(able) > 1 and text != "balanced":
        raise UsageError(
            f"--class-weight {text} is of one output; the model has {len(able)} of classes: "
            f"{', '.join(able)}",
            hint="--class-weight balanced weighs the classes of each",
        )
    return {
        name: partial(
            sample_weights, class_weights(text, tasks[name], given[name], names), tasks[name]
        )
        for name in able
    }


def tasks_of(model: keras.Model, context: Context) -> dict[str, Task]:
    """Return what a model's outputs answer, by their names, in order.

    They are those of the model that is compressed, in whose order a student's follow. Activations
    are the model's own.

    Args:
        model: has the outputs.
        context: its tasks and data.
    """
    own, known = output_facts(model), context.tasks
    if len(known) != len(own):
        data = context.data
        known = data.answering(replace(data.outputs, facts=own)).tasks if data else {}
    by_name = {output.name for output in own} == set(known)
    return {
        output.name: replace(known[output.name] if by_name else task, activation=output.activation)
        for output, task in zip(own, known.values(), strict=True)
    }


def training_batches(
    model: keras.Model,
    context: Context,
    labels: Labels,
    size: int,
    taught: Sequence[np.ndarray] = (),
) -> Any:
    """Return a tf.data pipeline of preprocessed batches, shuffled anew in each epoch.

    A batch is `(inputs, {"labels": {output: ...}, "taught": {place: ...}})`. Python is called for
    many batches at once: it would else wait for the training step, and the step for it. Each epoch
    leaves out the samples beyond its size, and the few that fill no batch, others each time.
    Images, which are inputs of height, width and channels, are varied as the settings say.

    Args:
        model: takes the inputs.
        context: its data, settings and seed.
        labels: by output name, `(samples, ...)`, as `objectives` gives them.
        size: samples in a batch.
        taught: a teacher's answers to all training samples, `(samples, ...)` for each output;
            empty where there are none, or where the teacher is asked batch by batch.

    Raises:
        UsageError: there are no images to vary.
    """
    import tensorflow as tf

    data, settings, seed = context.data, context.training, context.seed
    assert data is not None
    part = data.train
    assert part is not None
    epoch, steps = itertools.count(), settings.samples(len(part)) // size
    kinds = {t.name: np.dtype(t.dtype) for t in model.inputs}
    images = [t.name for t in model.inputs if len(t.shape) == 4]
    if (settings.shift or settings.flip) and not images:
        raise UsageError(
            "only images can be shifted and flipped; no input of the model has height, width and "
            "channels"
        )
    if (settings.shift or settings.flip) and (placed := [n for n in labels if n in data.placed]):
        raise UsageError(
            f"images cannot be shifted or flipped where labels are of places in them, as those of "
            f"{placed[0]!r} are: these would stay where they were",
            hint="drop --shift and --flip, and store varied images with masks of their own",
        )

    def targets(
        places: np.ndarray, inputs: Mapping[str, np.ndarray]
    ) -> dict[str, dict[str, np.ndarray]]:
        right = {
            n: inputs[v.input].reshape(*places.shape, *v.shape[1:])
            if isinstance(v, Itself)
            else v[places]
            for n, v in labels.items()
        }
        return {
            "labels": {n: v.astype("float32") for n, v in right.items()},
            "taught": {str(n): v[places] for n, v in enumerate(taught)},
        }

    def generate() -> Iterator[tuple[Any, dict[str, dict[str, np.ndarray]]]]:
        rng = np.random.default_rng([seed, next(epoch)])
        order = rng.permutation(len(part))
        batches = order[: steps * size].reshape(-1, size)
        for start in range(0, len(batches), BATCHES_TOGETHER):
            places = batches[start : start + BATCHES_TOGETHER]
            taken = data.values(part, places.reshape(-1))
            if settings.shift:
                taken |= {name: shifted(taken[name], settings.shift, rng) for name in images}
            if settings.flip:
                taken |= {name: mirrored(taken[name], rng) for name in images}
            inputs = {
                name: taken[name]
                .astype(kind, copy=False)
                .reshape(*places.shape, *taken[name].shape[1:])
                for name, kind in kinds.items()
            }
            yield together(inputs), targets(places, taken)

    def together(inputs: dict[str, Any]) -> Any:
        x = structured(model, inputs)
        return tuple(x) if isinstance(x, list) else x  # tf.data would stack a list into one tensor

    signature = (
        together(
            {t.name: tf.TensorSpec((None, size, *t.shape[1:]), t.dtype) for t in model.inputs}
        ),
        keras.tree.map_structure(
            lambda v: tf.TensorSpec((None, size, *v.shape[1:]), tf.float32),
            {"labels": dict(labels), "taught": {str(n): v for n, v in enumerate(taught)}},
        ),
    )
    many = tf.data.Dataset.from_generator(generate, output_signature=signature)
    counted = tf.data.experimental.assert_cardinality(steps)
    return many.prefetch(1).unbatch().apply(counted).prefetch(4)
