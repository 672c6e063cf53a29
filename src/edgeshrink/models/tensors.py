"""A model's inputs and outputs, as plain values."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass


def distinct(names: Iterable[str]) -> list[str]:
    """Return names in their order, those that came before with a number behind them.

    A nested model that makes several outputs gives all of them its own name.

    Example:
        >>> distinct(["heads", "heads", "age"])
        ['heads', 'heads_1', 'age']
    """
    given = list(names)
    found: list[str] = []
    for name in given:
        free = (n for n in itertools.count(1) if f"{name}_{n}" not in {*given, *found})
        found.append(f"{name}_{next(free)}" if name in found else name)
    return found


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

    @property
    def fixed_example(self) -> str:
        """Its shape with every size that is open fixed, as `--input-shape` takes it.

        Such as `1,224,224,3` for images, and `1,128` for tokens; a batch of 1.
        """
        batch, *sizes = self.shape or (None,)
        open_size = 224 if len(sizes) == 3 else 128
        return ",".join(str(size or open_size) for size in (batch or 1, *sizes))
