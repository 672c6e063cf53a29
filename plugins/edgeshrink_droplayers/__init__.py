"""Dropping layers: a shallower graph."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from edgeshrink.api import Context, Method, Phase, Plan, Training, hookimpl
from edgeshrink_droplayers.options import Options

if TYPE_CHECKING:
    import keras


class DropLayers(Method):
    """Drop the residual branches and layers that matter least, and train the rest to make good."""

    name, title, phase = "drop_layers", "Dropping layers", Phase.SHRINK
    Options = Options
    training = Training()
    searched, technique = True, "depth"

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
