"""Metadata put into a file, and the file run."""

from __future__ import annotations

from collections.abc import Iterator

from edgeshrink.api import Context, VerificationError
from edgeshrink.tflite import (
    FlatModel,
    FlatTensor,
    ModelMetadata,
    TensorMetadata,
    read_metadata,
    read_model,
    with_metadata,
)
from edgeshrink_metadata.labels import labels
from edgeshrink_metadata.models import COLORS, check_shapes
from edgeshrink_metadata.normalization import MOST, Normalization, normalization
from edgeshrink_metadata.options import Options

TAKEN = ("float32", "uint8")  # types of inputs and outputs that MediaPipe takes
PROBABILITIES = ("SOFTMAX", "LOGISTIC")  # what operators put out


def described(model: bytes, options: Options, context: Context) -> bytes:
    """Return a file with labels and normalization in it; facts and notes tell them.

    Args:
        model: the bytes of a .tflite.
        options: of the method.
        context: its data has names of classes and preprocessing, where options have none.

    Raises:
        UsageError: the model is no classifier of images, or what is to be written is not known.
        DataError: names of classes are missing, or not as many as the model has classes.
        VerificationError: the new file answers otherwise than the one without metadata.
    """
    flat = read_model(model)
    taken, given = ([t.shape_signature for t in ends] for ends in (flat.inputs, flat.outputs))
    values, channels = check_shapes(taken, given)
    names = labels(options, context.data, values)
    # without data `check` has refused models that do not take pixels as they are
    done = normalization(options, context.data, channels, inside=True)
    metadata = ModelMetadata(
        (TensorMetadata("image", "image", COLORS[channels or 3], done.mean, done.std),),
        (TensorMetadata("score", labels=names),),
    )
    made = with_metadata(model, metadata)
    if context.agreement(made).max_error:
        raise VerificationError("the file with metadata answers otherwise than the one without")
    read = read_metadata(made)
    if read is None or [t.labels for t in read.outputs] != [names]:
        raise VerificationError("metadata was written, and is read otherwise")
    context.facts["metadata"] = {
        "labels": list(names),
        "mean": list(done.mean),
        "std": list(done.std),
        "bytes": len(made) - len(model),
    }
    context.notes.append(
        f"the names of {len(names)} classes and what is done to pixels ({done}) are in the file, "
        "which answers as before"
    )
    context.notes += _lacking(flat, done)
    return made


def _lacking(flat: FlatModel, done: Normalization) -> Iterator[str]:
    """Yield what MediaPipe would not take, or apps would misread."""
    image, scores = flat.inputs[0], flat.outputs[0]
    refused = [
        f"{what} of {tensor.dtype}"
        for what, tensor in (("input", image), ("output", scores))
        if tensor.dtype not in TAKEN
    ]
    if refused:
        yield (
            f"MediaPipe takes float32 and uint8 alone, and refuses this {' and '.join(refused)}: "
            "--int8-io float32 is what it takes"
        )
    if image.dtype == "uint8" and image.scales:
        pixel, read, meant = max(_readings(image, done), key=lambda one: abs(one[1] - one[2]))
        if abs(read - meant) > image.scales[0]:
            yield (
                f"MediaPipe hands pixels to a uint8 input as they are, and this one reads {pixel} "
                f"as {read:.4g} where {meant:.4g} is meant: --int8-io float32, or "
                "--bake-preprocess, reads them right"
            )
    _, last = flat.origin(scores)
    if last is None or last.name not in PROBABILITIES:
        yield "the model ends without softmax or sigmoid: scores in apps are no probabilities"


def _readings(image: FlatTensor, done: Normalization) -> Iterator[tuple[int, float, float]]:
    """Yield black and white, each with what the input's code stands for and what is meant."""
    for pixel in (0, MOST):
        read = image.scales[0] * (pixel - image.zero_points[0])
        yield from ((pixel, read, meant) for meant in done.of(pixel))
