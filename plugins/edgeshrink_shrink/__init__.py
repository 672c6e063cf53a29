"""Shrinking: fewer channels, in a graph that is really smaller."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from edgeshrink.api import Context, Flag, Method, Phase, Plan, Training, UsageError, hookimpl

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class ShrinkOptions:
    """How much goes, of what, and what goes first."""

    ratio: Annotated[float, Flag("The share removed, of --shrink-target.", above=0, below=1)]
    target: Annotated[
        Literal["channels", "parameters", "macs", "bytes", "ms"],
        Flag(
            "What RATIO is a share of: the channels that may go; the model's parameters or MACs; "
            "bytes of the float .tflite; milliseconds, measured on the device."
        ),
    ] = "channels"
    criterion: Annotated[
        Literal["auto", "l1", "l2", "median", "bn", "taylor", "fisher", "random"],
        Flag(
            "What a channel is worth: the norm of its weights, its distance from the others, its "
            "batch-norm scale, what the loss would change (first order, or Fisher); `auto` is "
            "taylor with training data, else l2."
        ),
    ] = "auto"
    scope: Annotated[
        Literal["global", "layer"],
        Flag("Channels compete within the whole model, or each group gives the same share."),
    ] = "global"
    layers: Annotated[
        tuple[str, ...],
        Flag("Remove only what these layers make (default: all that can go)."),
    ] = ()
    round: Annotated[
        int, Flag("Keep a multiple of so many channels, the tile of a kernel.", min=1, max=1024)
    ] = 1
    min_width: Annotated[int, Flag("Keep at least so many channels of each group.", min=1)] = 2
    rounds: Annotated[
        int, Flag("Remove in so many rounds, with training after each.", min=1, max=100)
    ] = 1
    slimming: Annotated[
        float,
        Flag("Weight of an L1 penalty on batch-norm scales, trained before channels go.", min=0),
    ] = 0.0


class Shrink(Method):
    """Remove whole channels, filters, neurons, units and heads, and train the others."""

    name, title, phase = "shrink", "Shrinking", Phase.SHRINK
    Options = ShrinkOptions
    training = Training()

    @property
    def timed(self) -> bool:
        """Whether the device decides: where RATIO is of milliseconds."""
        return bool(self.options.target == "ms")

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

    def apply(self, model: keras.Model, context: Context) -> Any:
        """Return a narrower model."""
        from edgeshrink_shrink.shrinking import shrink

        return shrink(model, self.options, context)


@dataclass(frozen=True)
class MergeOptions:
    """How many neurons are merged."""

    ratio: Annotated[
        float, Flag("The share of neurons and filters that merge into others.", above=0, below=1)
    ]
    min_width: Annotated[int, Flag("Keep at least so many of each group.", min=1)] = 2


class MergeNeurons(Method):
    """Merge similar neurons and filters, the next layer making good; needs no data."""

    name, title, phase = "merge_neurons", "Merging neurons", Phase.SHRINK
    Options = MergeOptions

    def apply(self, model: keras.Model, context: Context) -> Any:
        """Return a narrower model."""
        from edgeshrink_shrink.merging import merge

        return merge(model, self.options, context)


@hookimpl
def edgeshrink_methods() -> list[type[Method]]:
    """Return the methods of this plugin."""
    return [Shrink, MergeNeurons]
