"""What a model is trained towards: labels, a teacher's outputs, or both, for each output."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
from keras import ops

from edgeshrink.errors import UsageError

SOFT_SHARE = 0.5  # weight of the teacher beside labels, as in Hinton et al. 2015 with T = 1


@dataclass(frozen=True)
class OutputLoss:
    """The loss of one output.

    Attributes:
        hard: against labels; None where there are none.
        soft: against the teacher's outputs; None without a teacher.
    """

    hard: keras.losses.Loss | None
    soft: keras.losses.Loss | None

    def __call__(self, labels: Any, taught: Any, outputs: Any) -> Any:
        """Return the mean loss of a batch."""
        if self.soft is None:
            return self.hard(labels, outputs)  # type: ignore[misc]
        if self.hard is None:
            return self.soft(taught, outputs)
        hard, soft = self.hard(labels, outputs), self.soft(taught, outputs)
        return (1 - SOFT_SHARE) * hard + SOFT_SHARE * soft


def activation_of(model: keras.Model, place: int) -> str:
    """Return the name of the activation that makes an output: `softmax`, `sigmoid`, `linear`."""
    layer = model.outputs[place]._keras_history.operation
    while isinstance(layer, keras.Model):
        layer = layer.outputs[0]._keras_history.operation
    if isinstance(layer, keras.layers.Softmax):
        return "softmax"
    return getattr(getattr(layer, "activation", None), "__name__", "linear")


def output_loss(
    activation: str, labels: Any | None, *, chosen: str | None = None, taught: bool = False
) -> OutputLoss:
    """Return the loss of one output.

    Args:
        activation: that makes the output.
        labels: integer `(samples,)`, or `(samples, ...)` like the output; None without labels.
        chosen: a Keras loss by name; None for what fits activation and labels.
        taught: whether there is a teacher.

    Raises:
        UsageError: Keras knows no loss of the chosen name.
    """
    soft = _soft(activation, labels) if taught else None
    if labels is None:
        return OutputLoss(None, soft)
    return OutputLoss(_fitted(chosen, activation, labels), soft)


def _fitted(chosen: str | None, activation: str, labels: Any) -> keras.losses.Loss:
    classes = labels.ndim == 1 and labels.dtype.kind in "iub"
    logits = activation not in ("softmax", "sigmoid")
    if chosen is None:
        if activation == "sigmoid":
            return keras.losses.BinaryCrossentropy()
        if classes:
            return keras.losses.SparseCategoricalCrossentropy(from_logits=logits)
        if activation == "softmax":
            return keras.losses.CategoricalCrossentropy()
        return keras.losses.MeanSquaredError()
    try:  # aliases such as "mse" too
        known = keras.losses.get(chosen)
    except ValueError as error:
        raise UsageError(
            f"Keras has no loss {chosen!r}", hint="as in --loss sparse_categorical_crossentropy"
        ) from error
    spelled = getattr(known, "__name__", type(known).__name__)
    name = "".join(word[:1].upper() + word[1:] for word in spelled.split("_"))
    # labels may be stored otherwise than when the model was compiled
    if name == "CategoricalCrossentropy" and classes:
        name = "SparseCategoricalCrossentropy"
    elif name == "SparseCategoricalCrossentropy" and not classes:
        name = "CategoricalCrossentropy"
    loss = getattr(keras.losses, name, None)
    if not (isinstance(loss, type) and issubclass(loss, keras.losses.Loss)):
        raise UsageError(f"the loss {chosen!r} cannot be used for fine-tuning")
    if classes and not name.endswith("SparseCategoricalCrossentropy"):
        raise UsageError(
            f"the loss {chosen!r} takes labels like the output; these labels are classes",
            hint="--loss sparse_categorical_crossentropy, or store the labels as one-hot",
        )
    return loss(from_logits=logits) if name.endswith("Crossentropy") else loss()


def _soft(activation: str, labels: Any | None) -> keras.losses.Loss:
    if activation == "softmax":
        return keras.losses.CategoricalCrossentropy()
    if activation == "sigmoid":
        return keras.losses.BinaryCrossentropy()
    if labels is not None and labels.ndim == 1 and labels.dtype.kind in "iub":
        return _LogitsCrossentropy()
    return keras.losses.MeanSquaredError()


class _LogitsCrossentropy(keras.losses.Loss):
    """Cross-entropy of a student's logits against the softmax of a teacher's."""

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return ops.categorical_crossentropy(ops.softmax(y_true), y_pred, from_logits=True)


def _listed(inputs: Any) -> Any:
    """Return several inputs as models take them: tf.data hands them over as a tuple."""
    return list(inputs) if isinstance(inputs, tuple) else inputs


class Trainee(keras.Model):
    """A model together with what it is trained towards; its weights are the model's own.

    Targets of a batch are `{"labels": {output: ...}, "taught": ...}` by output name, where an
    output without labels is absent.
    """

    def __init__(
        self,
        model: keras.Model,
        losses: Mapping[str, OutputLoss],
        teacher: keras.Model | None,
    ) -> None:
        super().__init__()
        self.model = model
        self.losses_by_output = dict(losses)
        # behind a function, since Keras would take a model (in a list, too) for a part of this one
        self._answers = None if teacher is None else lambda x: teacher(_listed(x), training=False)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Return the model's outputs."""
        return self.model(_listed(inputs), training=training)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """Return the sum over outputs, and the layers' own regularisation."""
        outputs = dict(zip(self.losses_by_output, keras.tree.flatten(y_pred), strict=True))
        taught: Mapping[str, Any] = {}
        if self._answers is not None:
            answers = keras.tree.flatten(self._answers(x))
            taught = dict(zip(outputs, map(ops.stop_gradient, answers), strict=True))
        total = sum(
            loss(y.get(name), taught.get(name), outputs[name])
            for name, loss in self.losses_by_output.items()
            if loss.hard is not None or loss.soft is not None
        )
        for extra in self.model.losses:
            total = total + ops.cast(extra, total.dtype)
        return total
