"""What a model is trained towards: labels, a teacher's outputs, or both, for each output."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras
from keras import ops

from edgeshrink.errors import UsageError, near
from edgeshrink.models import LossFacts
from edgeshrink.nn.learning.distillation import Distillation, SoftLoss
from edgeshrink.samples import Task


@dataclass(frozen=True)
class OutputLoss:
    """The loss of one output.

    Attributes:
        hard: against labels; None where there are none.
        soft: against the teacher's outputs; None without a teacher.
        alpha: the share of labels where there are both, 0..1; a variable may stand for it.
        weight: of this output in the sum over all.
        weigh: gives, for labels, what each counts; None where all count alike.
    """

    hard: keras.losses.Loss | None
    soft: SoftLoss | None
    alpha: Any = 0.5
    weight: float = 1.0
    weigh: Callable[[Any], Any] | None = None

    def __call__(self, labels: Any, taught: Any, outputs: Any) -> Any:
        """Return the mean loss of a batch times the weight, a scalar.

        Args:
            labels: as `hard` takes them; not looked at where `hard` is None.
            taught: the teacher's outputs; not looked at where `soft` is None.
            outputs: the model's own.
        """
        if self.soft is None:
            return self.weight * self._told(labels, outputs)
        if self.hard is None:
            return self.weight * self.soft(taught, outputs)
        hard, soft = self._told(labels, outputs), self.soft(taught, outputs)
        share = ops.cast(self.alpha, hard.dtype)
        return self.weight * (share * hard + (1 - share) * soft)

    def _told(self, labels: Any, outputs: Any) -> Any:
        """Return the mean loss against labels."""
        assert self.hard is not None
        return self.hard(labels, outputs, None if self.weigh is None else self.weigh(labels))


@dataclass(frozen=True)
class Hint:
    """A feature of a model that follows one of its teacher's.

    Attributes:
        name: of the pair, in words.
        feature: a tensor of the model's graph.
        distance: given the teacher's feature and the model's, how far they are apart: a layer,
            whose own weights are trained beside the model and then thrown away.
        weight: of the distance in the loss.
    """

    name: str
    feature: keras.KerasTensor
    distance: keras.layers.Layer
    weight: float


def output_loss(
    task: Task,
    labelled: bool = True,
    *,
    chosen: str | None = None,
    distillation: Distillation | None = None,
    own: Mapping[str, Any] | None = None,
    weigh: Callable[[Any], Any] | None = None,
) -> OutputLoss:
    """Return the loss of one output.

    Args:
        task: what the output answers, and what it was compiled with.
        labelled: whether there are labels, as `Task.shaped` makes them.
        chosen: a loss as `LossFacts.parse` takes it; None for that of the model, or else for what
            fits.
        distillation: how a teacher's answers are followed; None without one.
        own: losses that are not Keras's, by name: functions of labels and outputs, classes or
            instances of `keras.losses.Loss`.
        weigh: gives, for labels, what each counts.

    Raises:
        UsageError: Keras knows no loss of the chosen name, or of that of the model.
    """
    soft = _soft(task, distillation) if distillation else None
    weight = task.objective.weight
    if not labelled:
        return OutputLoss(None, soft, weight=weight)
    alpha = distillation.alpha if distillation else 1.0
    loss = LossFacts.parse(chosen) if chosen else task.objective.loss
    mine = own_loss(loss, own or {}) if loss else None
    if mine is None and loss and not chosen and _class_of(loss) is None:
        raise UsageError(
            f"output {task.name!r} was compiled with the loss {loss.spelled!r}, which is none of "
            "Keras's and cannot be trained with",
            hint=f"--custom MODULE:{loss.spelled} says where it is, or --loss names one of Keras's "
            f"in its place, as in --loss mse; with several outputs --loss {task.name}=mse",
        )
    if mine is None:
        mine = _fitted(loss, task, strict=bool(chosen))
    else:
        _try(mine, task)
    return OutputLoss(mine, soft, alpha, weight, weigh)


def own_loss(loss: LossFacts, own: Mapping[str, Any]) -> keras.losses.Loss | None:
    """Return a loss of the user's own; None where there is none of that name.

    Args:
        loss: by name.
        own: functions of labels and outputs, classes or instances of `keras.losses.Loss`, by name.

    Raises:
        UsageError: it is something else, or is not made of its options.
    """
    found = own.get(loss.spelled, own.get(loss.class_name))
    if found is None:
        return None
    try:
        if isinstance(found, type) and issubclass(found, keras.losses.Loss):
            return found(**loss.options)
        if isinstance(found, keras.losses.Loss):
            return found
        if not isinstance(found, type) and callable(found):
            return OwnLoss(partial(found, **loss.options), loss.spelled)
    except (TypeError, ValueError) as error:
        raise UsageError(f"the loss {loss.spelled!r} cannot be made: {error}") from error
    raise UsageError(
        f"a loss is a function of labels and outputs, or of class keras.losses.Loss; "
        f"{loss.spelled!r} is a {type(found).__name__}"
    )


def _class_of(loss: LossFacts) -> type[keras.losses.Loss] | None:
    """Return the class of a loss; None where Keras has no such loss."""
    made = getattr(keras.losses, loss.class_name, None)
    return made if isinstance(made, type) and issubclass(made, keras.losses.Loss) else None


def _try(loss: keras.losses.Loss, task: Task) -> None:
    """Compute a loss of the user's own once, before TensorFlow makes a graph of it.

    Raises:
        UsageError: it raises, or returns no number.
    """
    elements = task.shape[:-1] if task.sparse else task.shape
    if None in task.shape or None in elements:
        return  # of an unknown size
    labels, outputs = ops.zeros((2, *elements)), ops.ones((2, *task.shape)) / 2
    try:
        found = loss(labels, outputs)
    except Exception as error:  # the user's own code may raise anything
        raise UsageError(
            f"the loss {loss.name!r} raised {type(error).__name__}: {error}",
            hint=f"it was given labels of shape {tuple(labels.shape)} and outputs of "
            f"{tuple(outputs.shape)}",
        ) from error
    if len(found.shape) or not keras.backend.is_float_dtype(
        keras.backend.standardize_dtype(found.dtype)
    ):
        raise UsageError(f"the loss {loss.name!r} must return numbers, one a sample")


def _fitted(loss: LossFacts | None, task: Task, *, strict: bool = False) -> keras.losses.Loss:
    logits = task.activation not in ("softmax", "sigmoid")
    if loss is None:
        return _usual(task, logits)
    name, options = loss.class_name, dict(loss.options)
    made = _class_of(loss)
    if made is None:
        raise UsageError(
            f"Keras has no loss {loss.spelled!r}",
            hint="as in --loss sparse_categorical_crossentropy",
        )
    # labels may be stored otherwise than when the model was compiled
    if name == "SparseCategoricalCrossentropy" and not task.sparse:
        return keras.losses.CategoricalCrossentropy(from_logits=logits)
    plain = not {k: v for k, v in options.items() if v and k not in ("from_logits", "axis")}
    if name == "CategoricalCrossentropy" and task.sparse and plain:
        return keras.losses.SparseCategoricalCrossentropy(from_logits=logits)
    taken = inspect.signature(made).parameters
    if strict and (unknown := [key for key in options if key not in taken]):
        raise UsageError(
            f"the loss {loss.spelled!r} takes no {unknown[0]!r}", hint=near(unknown[0], taken)
        )
    if "from_logits" in taken:  # what makes the output is known better than it was compiled
        options["from_logits"] = logits
    found = made(**{key: value for key, value in options.items() if key in taken})
    sparse = name == "SparseCategoricalCrossentropy"
    return OneHot(found) if task.sparse and not sparse else found


def _usual(task: Task, logits: bool) -> keras.losses.Loss:
    """Return the loss that fits what an output answers."""
    if task.sparse:
        return keras.losses.SparseCategoricalCrossentropy(from_logits=logits)
    if task.kind == "classification" and task.activation != "sigmoid":
        return keras.losses.CategoricalCrossentropy(from_logits=logits)
    if not task.numeric or task.activation == "sigmoid":
        return keras.losses.BinaryCrossentropy(from_logits=logits)
    return keras.losses.MeanSquaredError()


class OwnLoss(keras.losses.Loss):
    """A function of labels and outputs.

    Args:
        function: returns the loss of each sample, or of the whole batch.
        name: of the loss.
    """

    def __init__(self, function: Callable[[Any, Any], Any], name: str) -> None:
        super().__init__(name=name)
        self.function = function

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return what the function returns.

        Args:
            y_true: labels as they are stored, `(batch, ...)`, in float.
            y_pred: outputs, `(batch, ...)`.
        """
        return self.function(y_true, y_pred)


class OneHot(keras.losses.Loss):
    """A loss that takes labels like the output, given class numbers instead.

    Args:
        loss: takes `(batch, ..., classes)` of zeros and ones; hinge losses make -1 of the zeros.
    """

    def __init__(self, loss: keras.losses.Loss) -> None:
        super().__init__(name=loss.name)
        self.loss = loss

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of each sample.

        Args:
            y_true: class numbers, `(batch, ...)`.
            y_pred: outputs, `(batch, ..., classes)`.
        """
        classes = ops.one_hot(ops.cast(y_true, "int32"), y_pred.shape[-1])
        return self.loss.call(ops.reshape(classes, ops.shape(y_pred)), y_pred)


def _soft(task: Task, distillation: Distillation) -> SoftLoss:
    activation = task.activation
    if activation not in ("softmax", "sigmoid"):
        activation = "logits" if task.kind == "classification" else "values"
    return SoftLoss(activation, distillation)


def _listed(inputs: Any) -> Any:
    """Return several inputs as models take them: tf.data hands them over as a tuple."""
    return list(inputs) if isinstance(inputs, tuple) else inputs


class Trainee(keras.Model):
    """A model together with what it is trained towards; its weights are the model's own.

    Targets of a batch are `{"labels": {output: ...}, "taught": {place: ...}}`. An output without
    labels is absent; where no answers are given as taught, the teacher is asked for them.

    Args:
        model: that is trained.
        losses: of its outputs by name, in their order.
        teacher: gives an answer for each output, then a feature for each hint; None without one.
        hints: features that follow the teacher's.
    """

    def __init__(
        self,
        model: keras.Model,
        losses: Mapping[str, OutputLoss],
        teacher: keras.Model | None,
        hints: Sequence[Hint] = (),
    ) -> None:
        super().__init__()
        self.model = model
        self.losses_by_output = dict(losses)
        self.distances = [hint.distance for hint in hints]
        self.hints = tuple(hints)
        # behind functions, since Keras would take a model (in a list, too) for a part of this one
        seen = model
        if hints:
            seen = keras.Model(model.input, [*model.outputs, *(h.feature for h in hints)])
        self._seen: Callable[[Any, Any], Any] = lambda x, training: seen(x, training=training)
        self._answers: Callable[[Any], Any] | None = None
        if teacher is not None:
            self._answers = lambda x: teacher(_listed(x), training=False)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Return the model's outputs, and behind them the features of the hints, if there are any.

        Args:
            inputs: a batch, as the model takes it.
            training: as Keras gives it.
        """
        return self._seen(_listed(inputs), training)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """Return the loss of a batch: the sum over outputs, hints and the layers' regularisation.

        Args:
            x: inputs.
            y: targets, as the class describes them.
            y_pred: what `call` returned.
            sample_weight: has no effect.
            training: has no effect.
        """
        given = keras.tree.flatten(y_pred)
        taught: list[Any] = [y["taught"][str(place)] for place in range(len(y["taught"]))]
        if not taught and self._answers is not None:
            taught = [ops.stop_gradient(answer) for answer in keras.tree.flatten(self._answers(x))]
        taught = taught or [None] * len(given)
        total = sum(
            loss(y["labels"].get(name), theirs, ours)
            for (name, loss), theirs, ours in zip(
                self.losses_by_output.items(), taught, given, strict=False
            )
            if loss.hard is not None or loss.soft is not None
        )
        count = len(self.losses_by_output)
        for hint, theirs, ours in zip(self.hints, taught[count:], given[count:], strict=True):
            total = total + hint.weight * hint.distance((theirs, ours))
        for extra in self.model.losses:
            total = total + ops.cast(extra, total.dtype)
        return total
