"""What makes a model's outputs, as far as its layers tell."""

from __future__ import annotations

import keras

from edgeshrink.models import TensorFacts
from edgeshrink.nn.graph import output_names

# Layers that hand values on as they are.
MOVING = (
    keras.layers.Reshape,
    keras.layers.Flatten,
    keras.layers.Permute,
    keras.layers.Identity,
    keras.layers.Dropout,
    keras.layers.Cropping1D,
    keras.layers.Cropping2D,
    keras.layers.Cropping3D,
)
OPERATIONS = {"Softmax": "softmax", "Sigmoid": "sigmoid"}


def activation_of(model: keras.Model, place: int) -> str:
    """Return the name of the activation that makes an output, such as `softmax` or `sigmoid`.

    Args:
        model: functional or Sequential; nested models are opened, and what only moves values is
            looked through.
        place: of the output, from 0.

    Returns:
        `linear` where the layer that makes the output has no activation.
    """
    return _activation(model.outputs[place])


def output_facts(model: keras.Model) -> tuple[TensorFacts, ...]:
    """Return each output of a model, in order, with its shape and what makes it.

    Args:
        model: functional, or Sequential and built.
    """
    structure = getattr(model, "_outputs_struct", None)
    keys = sorted(structure) if isinstance(structure, dict) else []
    keys = keys if len(keys) == len(model.outputs) else [""] * len(model.outputs)
    return tuple(
        TensorFacts(name, tuple(tensor.shape), str(tensor.dtype), _activation(tensor), key)
        for name, tensor, key in zip(output_names(model), model.outputs, keys, strict=True)
    )


def _activation(tensor: keras.KerasTensor) -> str:
    layer, call, place = tensor._keras_history
    if isinstance(layer, MOVING):  # of this call: it may be called for other outputs too
        return _activation(layer._inbound_nodes[call].input_tensors[0])
    if isinstance(layer, keras.layers.Wrapper):
        layer = layer.layer
    if isinstance(layer, keras.Model):
        return _activation(layer.outputs[place])
    if isinstance(layer, keras.layers.Softmax):
        return "softmax"
    if not isinstance(layer, keras.layers.Layer):  # an operation such as ops.softmax
        return OPERATIONS.get(type(layer).__name__, "linear")
    return getattr(getattr(layer, "activation", None), "__name__", "linear")
