"""A model's inputs and outputs, as plain values."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TensorFacts:
    """A model's input or output.

    Attributes:
        name: of the input, or of the layer that makes the output.
        shape: begins with the batch; None is what is not known.
        dtype: of its values.
        activation: of an output: what makes it, such as `softmax`, `linear` for none; empty where
            that is not known.
        key: of an output, where the model returns a dict: its key there.
    """

    name: str
    shape: tuple[int | None, ...] | None
    dtype: str = "float32"
    activation: str = ""
    key: str = ""
