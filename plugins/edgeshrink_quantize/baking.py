"""Preprocessing put into the model: its inputs then are samples as they are stored."""

from __future__ import annotations

import keras
import numpy as np

from edgeshrink.api import Context
from edgeshrink.nn import opened, structured

BYTES = "uint8"


def baked(model: keras.Model, context: Context) -> keras.Model:
    """Return the model behind a first layer that scales stored samples as preprocessing did.

    A layer of its own, since a mean that moves into a convolution's bias is wrong wherever the
    convolution pads: zeros that stood for the mean would stand for black.

    Args:
        model: takes preprocessed samples.
        context: its data tells the preprocessing and what is stored; the ranges that came with
            the model move behind the new layer.
    """
    data = context.data
    assert data is not None
    affine = data.preprocess.affine
    assert affine is not None  # `check` has refused functions
    stored = next(iter(data.subsets().values())).inputs
    scale, offset = (values[0] if len(set(values)) == 1 else list(values) for values in affine)
    inputs, prepared, types = {}, {}, {}
    for tensor in model.inputs:
        if not str(tensor.dtype).startswith("float"):  # numbers of words are not preprocessed
            prepared[tensor.name] = inputs[tensor.name] = keras.Input(
                batch_shape=tensor.shape, dtype=tensor.dtype, name=tensor.name
            )
            continue
        kind = BYTES if stored[tensor.name].dtype == np.uint8 else "float32"
        first = keras.Input(batch_shape=tensor.shape, dtype=kind, name=tensor.name)
        name = f"{tensor.name}_prepared"
        inputs[tensor.name], types[tensor.name] = first, kind
        prepared[tensor.name] = keras.layers.Rescaling(scale, offset, name=name)(first)
        ends = f"ranges/{tensor.name}"
        if ends in context.inherited:
            context.state[f"ranges/{name}"] = context.inherited[ends]
            back = (context.inherited[ends][None] - np.reshape(offset, (-1, 1))) / np.reshape(
                scale, (-1, 1)
            )
            context.state[ends] = np.array([back.min(), back.max()])
    outputs = opened(model, structured(model, prepared), lambda op, *args, **kw: op(*args, **kw))
    made = keras.Model(structured(model, inputs), outputs, name=f"{model.name}_baked")
    context.facts["baked"] = data.preprocess.describe()
    told = ", ".join(f"{name} in {kind}" for name, kind in types.items())
    context.notes.append(
        f"preprocessing ({data.preprocess.describe()}) is inside from here on; samples are taken "
        f"as they are stored: {told}"
    )
    return made
