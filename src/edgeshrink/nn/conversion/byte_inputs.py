"""Inputs of bytes, as a camera gives them: they stay bytes where the file computes in integers."""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np

from edgeshrink.nn.graph import opened, structured

BYTES = "uint8"


def takes_bytes(model: keras.Model) -> bool:
    """Return whether all inputs of a model are bytes."""
    return all(str(tensor.dtype) == BYTES for tensor in model.inputs)


def with_float_inputs(model: keras.Model) -> keras.Model:
    """Return a model that takes bytes as floats, which the converter then makes bytes of.

    A conversion from bytes to floats inside of the file would stay in float, and so on the way to
    the first integer.
    """
    inputs = {
        tensor.name: keras.Input(batch_shape=tensor.shape, name=tensor.name)
        for tensor in model.inputs
    }
    given = structured(model, inputs)
    outputs = opened(model, given, lambda op, *args, **kwargs: op(*args, **kwargs))
    return keras.Model(given, outputs, name=model.name)


def with_all_bytes(samples: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return calibration samples in float32 with a 0 and a 255 in the first of each input.

    The range of the input is then that of all bytes, its scale 1 and its zero point 0: a byte is
    the quantized input as it is.
    """
    made = {}
    for name, values in samples.items():
        made[name] = values.astype("float32")
        made[name][0].reshape(-1)[[0, -1]] = 0, 255
    return made
