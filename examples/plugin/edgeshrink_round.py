"""A method of one's own: round weights, so that the file deflates better."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from edgeshrink.api import Context, Flag, Method, Phase, hookimpl


@dataclass(frozen=True)
class Options:
    bits: Annotated[int, Flag("Significant bits that each weight keeps.", min=1, max=24)]
    biases: Annotated[bool, Flag("Round biases and batch norms too.")] = False


class Round(Method):
    """Round weights to few significant bits: the rest are zeros, which deflate well."""

    name, title, phase = "round", "Rounding", Phase.CLUSTER
    Options = Options
    keeps = frozenset({"sparsity", "clusters"})

    def apply(self, model: Any, context: Context) -> Any:
        """Return the model with its weights rounded in place."""
        import numpy as np

        for variable in model.weights:
            if len(variable.shape) > 1 or self.options.biases:
                mantissa, exponent = np.frexp(variable.numpy())
                scale = 2.0**self.options.bits
                variable.assign(np.ldexp(np.round(mantissa * scale) / scale, exponent))
        context.facts["significant_bits"] = self.options.bits
        return model


@hookimpl
def edgeshrink_methods() -> list[type[Method]]:
    return [Round]
