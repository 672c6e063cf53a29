"""What a method does to one layer alone, at one of several strengths."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras
    import numpy as np


@dataclass(frozen=True)
class Strengths:
    """How strongly a method can change a layer.

    Attributes:
        unit: what a strength is: `bits of a weight`, or `weights that are zero` for shares.
        values: to be tried, the mildest first; shares are 0..1.
        advice: flags that follow from the table, in a phrase; `{first}` in it stands for the layer
            that is hurt most.
    """

    unit: str
    values: tuple[float, ...]
    advice: str = ""

    @property
    def middle(self) -> float:
        """The strength in the middle, by which layers are put in order."""
        return self.values[len(self.values) // 2]

    def said(self, value: float) -> str:
        """Return a strength as people read it.

        Example:
            >>> Strengths("bits of a weight", (8, 4)).said(4)
            '4'
            >>> Strengths("weights that are zero", (0.5, 0.9)).said(0.5)
            '50 %'
        """
        shares = all(0 <= one <= 1 for one in self.values)
        return f"{100 * value:g} %" if shares else f"{value:g}"


@dataclass(frozen=True, eq=False)
class Changed:
    """A model in which one layer is changed.

    Attributes:
        model: what is run. With other weights it is compiled once for all strengths and layers,
            so that they are preferred to a new model.
        weights: variables of `model`, each with the values that it has meanwhile, in its shape.
        bytes_saved: in the whole model, of weights as they are stored then: in float, zeros for
            nothing; below 0 where more is stored.
        macs_saved: multiply-accumulates of one sample, in the whole model.
    """

    model: keras.Model
    weights: Sequence[tuple[keras.Variable, np.ndarray]] = ()
    bytes_saved: int = 0
    macs_saved: int = 0


@dataclass(frozen=True, eq=False)
class LayerChange:
    """A layer, and what becomes of the model when it alone is changed.

    Attributes:
        layer: its name, as the method's option for layers takes it; the names of layers that can
            only be changed together are joined by `+`.
        changed: given a strength, returns the changed model; None where the layer cannot be
            changed so strongly.
    """

    layer: str
    changed: Callable[[float], Changed | None]
