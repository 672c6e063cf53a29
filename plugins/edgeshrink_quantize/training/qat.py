"""Quantization-aware training: what a step asks for, declared light."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from edgeshrink.api import Context, Method, Need, Phase, Plan, Training, UsageError
from edgeshrink_quantize.options import QatOptions

if TYPE_CHECKING:
    import keras


class Qat(Method):
    """Train with weights and activations rounded as the converted file will round them."""

    name, title, phase = "qat", "Quantization-aware training", Phase.TRAIN_QUANTIZED
    Options = QatOptions
    data = Need.REQUIRED
    keeps = frozenset({"sparsity", "clusters"})
    training = Training(teacher="only")
    flag = False

    def check(self, plan: Plan) -> Iterable[str]:
        """Refuse to train on nothing.

        Raises:
            UsageError: there are no training samples.
        """
        if plan.data is None or plan.data.train is None:
            raise UsageError(
                "quantization-aware training needs training samples",
                hint="pass --data with a train part, or quantize without training",
            )
        yield "weights and activations are rounded while the model trains; batch norms are folded"

    def apply(self, model: keras.Model, context: Context) -> Any:
        """Return the trained model, its weights on their grids, and its ranges beside it."""
        from edgeshrink_quantize.training.twin_training import trained

        return trained(model, self.options, context)
