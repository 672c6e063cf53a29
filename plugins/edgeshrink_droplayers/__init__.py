"""Dropping layers: a shallower graph."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from edgeshrink.api import Context, Flag, Method, Phase, Plan, Training, hookimpl

if TYPE_CHECKING:
    import keras

TOLERANCE = 0.01


@dataclass(frozen=True)
class Options:
    """How much depth is given up."""

    count: Annotated[
        int | Literal["auto"],
        Flag(
            "Residual branches, or layers that keep the shape of what they are given, to drop; "
            "`auto` drops as long as the tolerance allows.",
            min=1,
            metavar="N|auto",
        ),
    ]
    tolerance: Annotated[
        float,
        Flag(
            "With `auto`: what may be lost of the validation score (of the agreement with the "
            "model before, where there are no labels) in all, before training makes good.",
            min=0,
        ),
    ] = TOLERANCE

    of: Annotated[
        tuple[str, ...],
        Flag("Drop only among these: sums of residual branches, or layers, by name."),
    ] = ()

    def __post_init__(self) -> None:
        """Refuse a tolerance that nothing asks for."""
        if self.count != "auto" and self.tolerance != TOLERANCE:
            raise ValueError(
                f"the tolerance says where auto ends; received one with a count of {self.count}"
            )


class DropLayers(Method):
    """Drop the residual branches and layers that matter least, and train the rest to make good."""

    name, title, phase = "drop_layers", "Dropping layers", Phase.SHRINK
    Options = Options
    training = Training()

    def check(self, plan: Plan) -> Iterable[str]:
        """Say what is missing without data."""
        if plan.data is None:
            yield "no data: what matters least is measured on made-up inputs"
        if plan.data is None or plan.data.train is None:
            yield "no training data: nothing makes good for what is dropped"

    def apply(self, model: keras.Model, context: Context) -> Any:
        """Return the model without the layers that matter least."""
        from edgeshrink_droplayers.greedy import drop

        return drop(model, self.options, context)


@hookimpl
def edgeshrink_methods() -> list[type[Method]]:
    """Return the methods of this plugin."""
    return [DropLayers]
