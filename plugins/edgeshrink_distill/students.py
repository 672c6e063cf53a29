"""Students: read, built, or made of what is strongest in their teacher."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import keras

from edgeshrink.api import Asked, Context, ModelError, Preprocess, import_object
from edgeshrink.nn import (
    Switched,
    channel_graph,
    channel_norms,
    functional,
    load_model,
    narrowed,
    opened,
    rewritten,
    sections,
    strongest_channels,
    untrained,
    without,
)
from edgeshrink_distill.spec import Shape, Spec, check_alike

RANKED_ON = 1000  # validation samples, at most


def student(
    spec: Spec, teacher: keras.Model, context: Context, *, init: str, preprocess: str
) -> keras.Model:
    """Return a student that takes what its teacher takes, and answers in the same shapes.

    Args:
        spec: where it comes from.
        teacher: that it will learn from.
        context: ranks blocks, and seeds random weights.
        init: `strongest` or `random`, of a student made from the teacher.
        preprocess: what a student's file wants done with the teacher's inputs.

    Raises:
        ModelError: it cannot be made, or does not fit.
        UsageError: there is no such file or function.
    """
    keras.utils.set_random_seed(context.seed)
    if spec.file is not None:
        return fitted(spec.file, load_model(Path(spec.file)), teacher, preprocess)
    if spec.function is not None:
        built = import_object(spec.function, what="student")()
        if not isinstance(built, keras.Model):
            raise ModelError(
                f"{spec.function} must return a Keras model; received {type(built).__name__}"
            )
        return fitted(spec.function, built, teacher, "none")
    made = rewritten(teacher, lambda op, name: None)
    if spec.depth < 1:
        made = shallower(made, spec.depth, context)
    if spec.width < 1:
        graph = channel_graph(made)
        if not any(len(group) > 1 for group in graph.free):
            raise ModelError(
                f"no narrower student can be made from {teacher.name}: all its channels must stay",
                hint="name a student's file, or --distill depth=0.5",
            )
        gone = strongest_channels(graph, spec.width, channel_norms(graph))
        free = sum(len(group) for group in graph.free)
        Asked(
            "distill",
            spec.width,
            "the channels that may go",
            1 - int(gone.sum()) / free,
            verb="kept",
            finest=len(graph.free) / free / 2,  # each group is rounded on its own
        ).tell(context)
        made = narrowed(graph, gone)
    return untrained(made) if init == "random" else made


def shallower(model: keras.Model, share: float, context: Context) -> keras.Model:
    """Return a model that keeps a share of what can be left out of it: what matters most.

    Each residual branch, and each layer that keeps a shape, is left out alone, and the score, or
    where there are no labels the agreement with the whole model, tells what it matters.

    Raises:
        ModelError: nothing can be left out.
    """
    found = sections(model)
    if not found:
        raise ModelError(
            f"no shallower student can be made from {model.name}: it has no residual branch, "
            "and no layer whose output has the shape of its input",
            hint="name a student's file, or --distill width=0.5",
        )
    switched, worth = Switched(model, found), {}
    for place, section in enumerate(found):
        context.progress(0.0, f"without {section.name} ({place + 1} of {len(found)})")
        with switched.left_out(section) as rest:
            score = context.evaluate(rest, RANKED_ON)
            left = context.agreement(rest).share if score is None else score
        worth[section.passed] = left
    gone = max(1, math.floor((1 - share) * len(found) + 0.5))

    def kept(model: keras.Model) -> int:
        return sum(section.passed in worth for section in sections(model))

    order = sorted(worth, key=lambda key: -worth[key])
    # others go with some: first those with which no more go than should, then what comes nearest
    for beyond, passed in [*((0, key) for key in order), *((len(found), key) for key in order)]:
        left_out = next((s for s in sections(model) if s.passed == passed), None)
        lacking = kept(model) - (len(found) - gone)
        if left_out is not None and lacking:
            rest = without(model, left_out)
            after = kept(rest) - (len(found) - gone)
            model = rest if -beyond <= after and abs(after) < lacking else model
    Asked(
        "distill",
        share,
        "what can be left out",
        kept(model) / len(found),
        verb="kept",
        finest=1 / len(found),
    ).tell(context)
    return model


def fitted(who: str, model: keras.Model, teacher: keras.Model, preprocess: str) -> keras.Model:
    """Return a model with the input names of its teacher, and what it wants done as a layer.

    Args:
        who: where the model is from, for messages.
        model: takes and gives what its teacher does.
        teacher: that it learns from or beside.
        preprocess: what it wants done with the teacher's inputs.

    Raises:
        ModelError: inputs or outputs differ in number or shape.
    """
    theirs, own = functional(teacher), functional(model)
    check_alike(who, _shapes(own.inputs), _shapes(theirs.inputs), "inputs")
    inputs = keras.tree.map_structure(
        lambda t: keras.Input(batch_shape=t.shape, dtype=t.dtype, name=t.name), theirs.input
    )
    given = [_preprocessed(tensor, preprocess) for tensor in keras.tree.flatten(inputs)]
    outputs = opened(
        own,
        keras.tree.pack_sequence_as(own.input, given),
        lambda op, *args, **kwargs: op(*args, **kwargs),
    )
    made = keras.Model(inputs, outputs, name=model.name)
    check_alike(who, _shapes(made.outputs), _shapes(theirs.outputs), "outputs")
    return made


def _shapes(tensors: list[keras.KerasTensor]) -> list[Shape]:
    return [tuple(tensor.shape[1:]) for tensor in tensors]


def _preprocessed(tensor: Any, text: str) -> Any:
    wanted = Preprocess.from_spec(text)
    if not wanted.scales:
        return tensor
    if wanted.affine is None:
        raise ModelError(
            f"the preprocessing {text!r} cannot become a layer",
            hint="write it as scale=… offset=… or mean=… std=…",
        )
    scale, offset = wanted.affine
    values = [v[0] if len(v) == 1 else list(v) for v in (scale, offset)]
    return keras.layers.Rescaling(*values)(tensor)
