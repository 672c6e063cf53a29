"""The inputs and outputs of a model: what they are called, and how they are handed over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from edgeshrink.models import distinct


def output_names(model: keras.Model) -> list[str]:
    """Return the names of a model's outputs, in order: those of the layers that make them.

    Where one layer makes several, as a nested model does, those behind the first have a number.

    Args:
        model: functional, or Sequential and built.
    """
    functional = getattr(model, "_functional", model)  # a Sequential has no names of its own
    return distinct(functional.output_names)


def structured(model: keras.Model, inputs: Mapping[str, Any]) -> Any:
    """Return inputs in the structure that the model's `call` takes.

    Args:
        model: says what its inputs are called: `model.inputs` by their `name`.
        inputs: arrays or tensors by these names.

    Returns:
        A dict, a list or the one input, as the model was built.

    Raises:
        KeyError: an input is missing.
    """
    structure = getattr(model, "_inputs_struct", None)
    if isinstance(structure, dict):
        return {key: inputs[tensor.name] for key, tensor in structure.items()}
    values = [inputs[tensor.name] for tensor in model.inputs]
    # a single input may still be a list of one
    return values if len(values) > 1 or isinstance(structure, (list, tuple)) else values[0]
