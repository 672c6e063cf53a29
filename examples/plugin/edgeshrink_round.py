"""A method of one's own: round weights, so that the file deflates better."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from edgeshrink.api import Changed, Context, Flag, LayerChange, Method, Phase, Strengths, hookimpl


@dataclass(frozen=True)
class Options:
    bits: Annotated[int, Flag("Significant bits that each weight keeps.", min=1, max=24)]
    biases: Annotated[bool, Flag("Round biases and batch norms too.")] = False


class Round(Method):
    """Round weights to few significant bits: the rest are zeros, which deflate well."""

    name, title, phase = "round", "Rounding", Phase.CLUSTER
    Options = Options
    keeps = frozenset({"sparsity", "clusters"})
    strengths = Strengths("significant bits of a weight", (8, 4, 2), "--round BITS rounds all")

    def apply(self, model: Any, context: Context) -> Any:
        """Return the model with its weights rounded in place."""
        for variable in model.weights:
            if len(variable.shape) > 1 or self.options.biases:
                variable.assign(rounded(variable.numpy(), self.options.bits))
        context.facts["significant_bits"] = self.options.bits
        return model

    @classmethod
    def by_layer(cls, model: Any) -> list[LayerChange]:
        """Return the layers with kernels, for `edgeshrink sensitivity`."""
        kernels = {layer.name: layer.kernel for layer in model.layers if hasattr(layer, "kernel")}
        return [
            LayerChange(
                name, lambda bits, v=v: Changed(model, [(v, rounded(v.numpy(), int(bits)))])
            )
            for name, v in kernels.items()
        ]


def rounded(values: Any, bits: int) -> Any:
    """Return values with so many significant bits."""
    import numpy as np

    mantissa, exponent = np.frexp(values)
    return np.ldexp(np.round(mantissa * 2.0**bits) / 2.0**bits, exponent)


@hookimpl
def edgeshrink_methods() -> list[type[Method]]:
    return [Round]
