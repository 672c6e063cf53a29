"""Quantization-aware training: what a step asks for, declared light."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from edgeshrink.api import Context, Flag, Method, Need, Phase, Plan, Training, UsageError

if TYPE_CHECKING:
    import keras

Steps = Annotated[
    Literal["range", "learned"],
    Flag("The step of weights: from their range, or learned (LSQ)."),
]
Ends = Annotated[
    Literal["moving", "learned"],
    Flag("The ends of activations: moving averages of batches, or learned (PACT)."),
]


@dataclass(frozen=True)
class QatOptions:
    """What is rounded while the model trains, and how finely."""

    weights: Annotated[int, Flag("Bits of a weight.", min=2, max=8)] = 8
    activations: Annotated[
        int, Flag("Bits of an activation; 32 leaves them in float.", min=8, max=32)
    ] = 8
    granularity: Annotated[
        Literal["channel", "tensor"], Flag("A step for each output channel, or for each tensor.")
    ] = "channel"
    steps: Steps = "range"
    ends: Ends = "moving"
    keep: Annotated[tuple[str, ...], Flag("Layers whose weights stay at 8 bits, by name.")] = ()


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
        from edgeshrink_quantize.training.fake_quantized import trained

        return trained(model, self.options, context)
