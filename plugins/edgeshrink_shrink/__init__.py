"""Shrinking: fewer channels, in a smaller graph; which go together is found in nn/graph."""

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
)
from edgeshrink_shrink.options import MergeOptions, ShrinkOptions

if TYPE_CHECKING:
    import keras


class Shrink(Method):
    """Remove whole channels, filters, neurons, units and heads, and train the others."""

    name, title, phase = "shrink", "Shrinking", Phase.SHRINK
    searched, technique = True, "channels"
    Options = ShrinkOptions
    training = Training()
    strengths = Strengths(
        "channels of the layers that go",
        (0.25, 0.5, 0.75),
        "--shrink 0.3 --shrink-layers NAMES takes channels of the layers of your choice; {first} "
        "bears least",
    )

    @classmethod
    def by_layer(cls, model: keras.Model) -> Sequence[LayerChange]:
        """Return the layers whose channels can go; those that share channels are one."""
        from edgeshrink_shrink.sensitivity import layer_changes

        return layer_changes(model)

    @property
    def timed(self) -> bool:
        """Whether the device decides: where RATIO is of milliseconds."""
        return bool(self.options.target == "ms")

    @property
    def tiled(self) -> bool:
        """Whether the device's kernels say what widths are multiples of."""
        return bool(self.options.in_tiles)

    @property
    def trainings(self) -> int:
        """How many times it trains."""
        return 2 if self.options.slimming else 1

    def check(self, plan: Plan) -> Iterable[str]:
        """Say what is done without data, and refuse criteria that need some.

        Raises:
            UsageError: the criterion needs training data.
        """
        trained = plan.data is not None and plan.data.train is not None
        criterion = self.options.criterion
        if not trained and (criterion in ("taylor", "fisher") or self.options.slimming):
            what = "--shrink-slimming" if self.options.slimming else f"the criterion {criterion}"
            raise UsageError(
                f"{what} needs training data", hint="pass --data, or --shrink-criterion l2"
            )
        if not trained:
            yield "no training data: channels go by their weights, and nothing makes good for them"
        if said := plan.lacking("channels"):
            yield said

    def apply(self, model: keras.Model, context: Context) -> Any:
        """Return a narrower model."""
        from edgeshrink_shrink.shrinking import shrink

        return shrink(model, self.options, context)


class MergeNeurons(Method):
    """Merge similar neurons and filters, the next layer making good; needs no data."""

    name, title, phase = "merge_neurons", "Merging neurons", Phase.SHRINK
    Options = MergeOptions

    def check(self, plan: Plan) -> Iterable[str]:
        """Say what fewer channels do not gain on the device."""
        if said := plan.lacking("channels"):
            yield said

    def apply(self, model: keras.Model, context: Context) -> Any:
        """Return a narrower model."""
        from edgeshrink_shrink.merging import merge

        return merge(model, self.options, context)


@hookimpl
def edgeshrink_methods() -> list[type[Method]]:
    """Return the methods of this plugin."""
    return [Shrink, MergeNeurons]
