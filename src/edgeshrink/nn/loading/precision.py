"""A model that computes in other floats than those of 32 bits, rebuilt in float32."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from edgeshrink.models import in_float32
from edgeshrink.nn.graph import settle


def computing_in_float32(
    model: keras.Model, objects: Mapping[str, Any] | None = None, *, unsafe: bool = False
) -> keras.Model:
    """Return a model of the same weights that computes in float32, as runtimes do.

    Mixed precision has float32 weights already, which are taken as they are; those of 16 bits have
    exact counterparts, those of 64 bits are rounded.

    Args:
        model: any Keras model.
        objects: classes that are not Keras's, by name.
        unsafe: whether code inside the model (Lambda layers) may run.

    Returns:
        The model itself where nothing in it names another float.
    """
    told = keras.saving.serialize_keras_object(model)
    wanted = in_float32(told)
    if wanted == told:
        return model
    plain: keras.Model = keras.saving.deserialize_keras_object(
        wanted, custom_objects=dict(objects or {}), safe_mode=not unsafe
    )
    for variable, known in zip(plain.variables, model.variables, strict=True):
        variable.assign(keras.ops.cast(known, variable.dtype))
    settle(plain)
    return plain
