"""Training on labels without compression, to compare with; the training loop is in nn/learning."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from edgeshrink.api import Context, Method, Need, Phase, Plan, Training, UsageError, hookimpl

if TYPE_CHECKING:
    import keras


class Train(Method):
    """Train the model as it is: a base from random weights, or what training alone would give."""

    name, title, phase = "train", "Training", Phase.DISTILL
    data = Need.REQUIRED
    training = Training()

    def check(self, plan: Plan) -> Iterable[str]:
        """Refuse to train on nothing.

        Raises:
            UsageError: there are no training samples.
        """
        if plan.data is not None and plan.data.train is None:
            raise UsageError(
                "train needs training samples; the data has none",
                hint="pass --data with a train part",
            )
        return ()

    def apply(self, model: Any, context: Context) -> keras.Model:
        """Return the model, trained in place by the settings of the step."""
        from edgeshrink.nn import finetune

        before = context.evaluate(model)
        finetune(model, context)
        after = context.evaluate(model)
        epochs = context.training.epochs
        if epochs is None:  # chosen when it ran
            epochs = context.facts["training"]["epochs"]
        context.facts["epochs"] = epochs
        if before is not None and after is not None:
            context.facts |= {"validation_before": before, "validation_after": after}
            context.notes.append(
                f"trained for {epochs} epoch{'s' * (epochs != 1)}: {before:.4g} on validation "
                f"samples before, {after:.4g} after"
            )
        return model


@hookimpl
def edgeshrink_methods() -> list[type[Method]]:
    """Return the method of this plugin."""
    return [Train]
