"""Substitution: layers replaced by cheaper ones, of lower rank or depthwise separable."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from edgeshrink.api import (
    Context,
    LayerChange,
    Method,
    Phase,
    Plan,
    Strengths,
    Training,
    UsageError,
    hookimpl,
    near,
)
from edgeshrink_lowrank.options import DepthwiseOptions, LowrankOptions

if TYPE_CHECKING:
    import keras


class Lowrank(Method):
    """Replace layers by chains of smaller ones, whose product is nearly the same."""

    name, title, phase = "lowrank", "Low rank", Phase.SUBSTITUTE
    searched, technique = True, "rank"
    Options = LowrankOptions
    implied = True
    leading = "ratio"
    training = Training()
    strengths = Strengths(
        "multiply-accumulates of the layer that go",
        (0.25, 0.5, 0.75),
        "--lowrank 0.3 --lowrank-layers NAMES factors the layers of your choice; {first} bears "
        "least",
    )

    @classmethod
    def by_layer(cls, model: keras.Model) -> Sequence[LayerChange]:
        """Return the layers that compute less as a product of smaller ones."""
        from edgeshrink_lowrank.sensitivity import layer_changes

        return layer_changes(model)

    def check(self, plan: Plan) -> Iterable[str]:
        """Refuse names that no layer has, and say what is missing without data.

        Raises:
            UsageError: no layer has this name.
        """
        yield from _checked(self, plan)

    def apply(self, model: keras.Model, context: Context) -> Any:
        """Return the model with layers of lower rank."""
        from edgeshrink_lowrank.substitution import lowrank

        return lowrank(model, self.options, context)


class Depthwise(Method):
    """Replace convolutions by depthwise separable ones, and train what comes of it."""

    name, title, phase = "depthwise", "Depthwise separable convolutions", Phase.SUBSTITUTE
    Options = DepthwiseOptions
    training = Training()

    def check(self, plan: Plan) -> Iterable[str]:
        """Refuse names that no layer has, and say what is missing without data.

        Raises:
            UsageError: no layer has this name.
        """
        yield from _checked(self, plan)

    def apply(self, model: keras.Model, context: Context) -> Any:
        """Return the model with depthwise separable convolutions."""
        from edgeshrink_lowrank.separable import depthwise_separable

        return depthwise_separable(model, self.options, context)


def _checked(step: Method, plan: Plan) -> Iterable[str]:
    known = {layer.name for layer in plan.base.layers}
    for name in step.options.layers:
        if known and name not in known | {"all", "dense", "conv"}:
            raise UsageError(f"{step.name}: no layer is named {name!r}", hint=near(name, known))
    if plan.data is None or plan.data.train is None:
        yield "no training data: nothing makes good for what the substitution loses"
    if said := plan.lacking("rank"):
        yield said


@hookimpl
def edgeshrink_methods() -> list[type[Method]]:
    """Return the methods of this plugin."""
    return [Lowrank, Depthwise]
