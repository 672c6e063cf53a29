"""The inputs and outputs of a model: what they are called, and how they are handed over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras


def output_names(model: keras.Model) -> list[str]:
    """Return the names of the outputs, in order: the layers that they come from."""
    functional = getattr(model, "_functional", model)  # a Sequential has no names of its own
    return list(functional.output_names)


def structured(model: keras.Model, inputs: Mapping[str, Any]) -> Any:
    """Return inputs by name in the structure that the model's `call` takes."""
    structure = getattr(model, "_inputs_struct", None)
    if isinstance(structure, dict):
        return {key: inputs[tensor.name] for key, tensor in structure.items()}
    values = [inputs[tensor.name] for tensor in model.inputs]
    # a single input may still be a list of one
    return values if len(values) > 1 or isinstance(structure, (list, tuple)) else values[0]
