"""Substitution: layers replaced by cheaper ones, of lower rank or depthwise separable."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from edgeshrink.api import Context, Flag, Method, Phase, Plan, Training, UsageError, hookimpl, near

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class LowrankOptions:
    """How much is removed, how, and where."""

    ratio: Annotated[
        float | Literal["vbmf"] | None,
        Flag(
            "Share of the whole model's multiply-accumulates that is removed; `vbmf` gives each "
            "layer the rank that variational Bayes finds above the noise.",
            above=0,
            below=1,
            metavar="RATIO|vbmf",
        ),
    ] = None
    energy: Annotated[
        float | None,
        Flag(
            "Instead of a ratio: the share of its squares that each kernel keeps, whatever that "
            "saves.",
            above=0,
            max=1,
        ),
    ] = None
    kinds: Annotated[
        tuple[Literal["svd", "spatial", "tucker", "cp"], ...],
        Flag(
            "Decompositions: `svd` of dense, recurrent and 1×1 layers, and of larger convolutions "
            "`spatial` (a column, a row), `tucker` (fewer channels inside) and `cp` (a depthwise "
            "one inside). Of several, each layer gets the one with which it answers most like "
            "before for the same cost; without data, the one most like its kernel."
        ),
    ] = ("svd", "spatial", "tucker", "cp")
    layers: Annotated[tuple[str, ...], Flag("`all`, `dense`, `conv`, or names of layers.")] = (
        "all",
    )

    def __post_init__(self) -> None:
        """Refuse no measure of what is removed, and two."""
        if (self.ratio is None) == (self.energy is None):
            given = "none" if self.ratio is None else "both"
            raise ValueError(f"exactly one of ratio and energy must be given; received {given}")


class Lowrank(Method):
    """Replace layers by chains of smaller ones, whose product is nearly the same."""

    name, title, phase = "lowrank", "Low rank", Phase.SUBSTITUTE
    Options = LowrankOptions
    implied = True
    leading = "ratio"
    training = Training()

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


@dataclass(frozen=True)
class DepthwiseOptions:
    """Which convolutions, and what becomes of them."""

    layers: Annotated[
        tuple[str, ...],
        Flag(
            "Convolutions that are replaced: names, or `all` with a window of more than one place "
            "and more than a few input channels.",
            metavar="all|NAMES",
        ),
    ]
    between: Annotated[
        Literal["relu", "nothing"],
        Flag(
            "What stands between the two halves: a batch norm and a ReLU, as in MobileNet, or "
            "nothing."
        ),
    ] = "relu"
    multiplier: Annotated[
        int, Flag("Depthwise filters of each input channel; each more is nearer to before.", min=1)
    ] = 1


class Depthwise(Method):
    """Replace convolutions by depthwise separable ones, and train what comes of it."""

    name, title, phase = "depthwise", "Depthwise separable convolutions", Phase.SUBSTITUTE
    Options = DepthwiseOptions
    training = Training(lr=1e-3, teacher="original", temperature=4.0, alpha=0.1)

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


@hookimpl
def edgeshrink_methods() -> list[type[Method]]:
    """Return the methods of this plugin."""
    return [Lowrank, Depthwise]
