"""Pruning: set the weights that matter least to zero."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from edgeshrink.api import Context, Flag, Method, Phase, Plan, Training, hookimpl

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Options:
    """How much is pruned, where, and how fast."""

    sparsity: Annotated[float, Flag("Share of zeros among the kernels in scope.", min=0, below=1)]
    schedule: Annotated[
        Literal["polynomial", "constant"],
        Flag("How sparsity grows: cubic over the first part of training, or all at once."),
    ] = "polynomial"
    scope: Annotated[
        Literal["global", "layer"],
        Flag("Weights compete within the whole model, or each layer gets the same sparsity."),
    ] = "global"
    layers: Annotated[
        tuple[str, ...],
        Flag("`all`, `dense`, `conv`, or names of layers; names may include what is else dense."),
    ] = ("all",)


class Prune(Method):
    """Set the smallest weights to zero, and train the others to make good."""

    name, title, phase = "prune", "Pruning", Phase.PRUNE
    Options = Options
    training = Training()

    def check(self, plan: Plan) -> Iterable[str]:
        """Say what zeros cannot do on this device."""
        if plan.data is None or plan.data.train is None:
            yield "no training data: pruned in one shot, nothing makes good for what is lost"
        integer = plan.has("int8", among=plan.after) or plan.has("int16x8", among=plan.after)
        if integer:
            yield (
                "int8 kernels ignore zeros: pruning shrinks the compressed file, not the latency"
            )
        elif not plan.profile.sparse:
            yield (
                f"the kernels of {plan.profile.name} ignore zeros: pruning shrinks the compressed "
                "file, not the latency, and not the file as it lies on disk"
            )

    def apply(self, model: keras.Model, context: Context) -> Any:
        """Return the model with the wanted share of zeros in the kernels in scope."""
        from edgeshrink_prune.magnitude import prune

        return prune(model, self.options, context)


@hookimpl
def edgeshrink_methods() -> list[type[Method]]:
    """Return the methods of this plugin."""
    return [Prune]
