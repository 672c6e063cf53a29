"""What a task is: what each output of a model answers, how it was compiled, what labels mean."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

from edgeshrink.models import Objective, TensorFacts

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

Kind = Literal["classification", "binary", "tags", "regression", "reconstruction"]
KINDS: tuple[str, ...] = get_args(Kind)

# What a loss says of its output; those that are not here say nothing.
OF_CLASSES = frozenset(
    {
        "SparseCategoricalCrossentropy",
        "CategoricalCrossentropy",
        "CategoricalFocalCrossentropy",
        "CategoricalGeneralizedCrossEntropy",
        "CategoricalHinge",
    }
)
OF_YES_OR_NO = frozenset({"BinaryCrossentropy", "BinaryFocalCrossentropy"})
OF_VALUES = frozenset(
    {
        "MeanSquaredError",
        "MeanAbsoluteError",
        "MeanAbsolutePercentageError",
        "MeanSquaredLogarithmicError",
        "CosineSimilarity",
        "Huber",
        "LogCosh",
        "Poisson",
    }
)


@dataclass(frozen=True)
class Task:
    """What one output answers.

    Attributes:
        name: of the output.
        kind: `classification`, one of several classes; `binary`, yes or no; `tags`, yes or no for
            each of several; `regression`, numbers; `reconstruction`, the input itself. What a judge
            makes of outputs is `anomaly`, how far a sample is from what is given back, or `boxes`.
        shape: of one sample's output; None for a size that is not known.
        sparse: labels are class numbers, where the output has a score for each class.
        activation: that makes the output, such as `softmax`; empty where that is not known.
        objective: loss, weight and metrics that the output was compiled with.
    """

    name: str
    kind: str
    shape: tuple[int | None, ...] = ()
    sparse: bool = False
    activation: str = ""
    objective: Objective = field(default_factory=Objective)

    @property
    def numeric(self) -> bool:
        """Whether an answer is numbers, and no class."""
        return self.kind in ("regression", "reconstruction", "anomaly", "boxes")

    @property
    def elements(self) -> tuple[int | None, ...]:
        """The shape of the answers to one sample: `()` for one, height and width for a mask."""
        if self.numeric:
            return ()
        yes_or_no = self.kind != "classification" and self.shape[-1:] != (1,)
        return self.shape if yes_or_no else self.shape[:-1]

    @property
    def single(self) -> bool:
        """Whether a sample has one answer, a class; a mask, a tagged sequence have many."""
        return self.kind in ("classification", "binary") and all(n == 1 for n in self.elements)

    @property
    def classes(self) -> int:
        """How many classes an answer is one of; 0 where it is none, or that is not known."""
        if self.numeric:
            return 0
        return (self.shape[-1] or 0) if self.kind == "classification" and self.shape else 2

    def shaped(self, labels: Array) -> Array:
        """Return labels in the shape that losses take.

        Args:
            labels: `(samples, ...)`, as they are stored.

        Returns:
            Class numbers `(samples, *elements)` where they are `sparse`, else a value for each
            value of the output.
        """
        axes = 1 + len(self.shape) - self.sparse
        if labels.ndim == axes + 1 and labels.shape[-1] == 1:
            return labels[..., 0]
        if labels.ndim == axes - 1 and self.shape[-1:] == (1,):
            return labels[..., None]
        return labels

    def wanted(self, labels: Array) -> Array:
        """Return what is right, as metrics take it.

        Args:
            labels: `(samples, ...)`, as they are stored.

        Returns:
            Class numbers `(samples, *elements)` for classes; 0 and 1, or numbers, for each value
            of the output otherwise.
        """
        labels = self.shaped(labels)
        if self.kind != "classification":
            return labels
        return labels.astype("int64") if self.sparse else labels.argmax(axis=-1)

    def answers(self, outputs: Array) -> Array:
        """Return the classes that are answered, `(samples, *elements)`.

        Args:
            outputs: `(samples, *shape)`.
        """
        if self.kind == "classification":
            found: Array = outputs.argmax(axis=-1)
        else:
            found = (outputs > self.threshold(outputs)).astype("int64")
        return found

    def threshold(self, outputs: Array) -> float:
        """Return above what an output says yes: 0.5 of a probability, 0 of a logit.

        Where it is not known what makes the output, any value outside of 0..1 tells a logit.
        """
        import numpy as np

        if self.activation:
            return 0.5 if self.activation == "sigmoid" else 0.0
        within = np.isnan(outputs) | ((outputs >= 0) & (outputs <= 1))
        return 0.5 if within.all() else 0.0

    def constant(self, labels: Array, outputs: Array) -> Array:
        """Return outputs that are the same for all samples, and right as often as such can be.

        Classes get the share of labels that each has, over all elements; so does yes or no, for
        each tag. Numbers are the mean of the labels.

        Args:
            labels: `(samples, ...)`, as they are stored.
            outputs: what a model says, `(samples, *shape)`.
        """
        import numpy as np

        wanted, shape = self.wanted(labels), outputs.shape
        if self.kind == "classification":
            often = np.bincount(wanted.reshape(-1), minlength=shape[-1]) / wanted.size
            return np.broadcast_to(often, shape)
        if self.kind == "anomaly":
            return np.zeros(shape)
        if self.kind == "boxes":
            return np.full(shape, np.nan)
        if self.numeric:
            return np.broadcast_to(wanted.mean(0), wanted.shape).reshape(shape)
        mean = wanted.mean(0) if self.kind == "tags" else wanted.mean()
        share = np.broadcast_to(mean, wanted.shape).reshape(shape)
        return share - 0.5 + self.threshold(outputs)

    def python_snippet(self, class_names: Sequence[str]) -> str:
        """Return Python that names what `y`, the output for one sample, answers.

        Args:
            class_names: by number; empty where they are not known, then `y` stands for itself.
        """
        names = list(class_names)
        if not names or self.numeric:
            return "y"
        threshold = 0.5 if self.activation in ("sigmoid", "") else 0.0
        if self.kind == "tags":
            of_each = len(names) == self.shape[-1]
            return f"[n for n, yes in zip({names}, y > {threshold}) if yes]" if of_each else "y"
        if self.kind == "binary":
            number = f"(y > {threshold}).astype(int)"
            return f"{names}[int(y.item() > {threshold})]" if self.single else number
        return f"{names}[int(y.argmax())]" if self.single else "y.argmax(-1)"

    def strata(self, labels: Array) -> Array | None:
        """Return the class of each sample, `(samples,)`; None where a sample has no one class."""
        return self.wanted(labels).reshape(-1) if self.single else None


def task_of(
    output: TensorFacts,
    labels: Sequence[Array] = (),
    objective: Objective | None = None,
    given: str = "",
) -> Task:
    """Return the task of one output.

    What was given goes before all. Then the shape of the labels, the loss and the activation say
    what the values of the labels leave open: whole numbers are no classes where one value is put
    out, or where errors were squared.

    Args:
        output: its shape and activation, as far as they are known.
        labels: `(samples, ...)`, of each part of the data; none where there are no labels.
        objective: what it was compiled with.
        given: a kind of task; empty for none.
    """
    objective = objective or Objective()
    loss = objective.loss.class_name if objective.loss else ""
    shape = _shape(output, labels, loss, given)
    sparse = bool(labels) and _is_sparse(shape, labels, output.shape is None)
    kind = given or (
        _kind_by_labels(shape, sparse, output.activation, loss, labels)
        if labels
        else _kind_by_model(shape, output.activation, loss)
    )
    if kind in ("binary", "tags"):
        kind = "binary" if shape[-1:] in ((), (1,)) else "tags"
    sparse = sparse and kind == "classification"  # numbers and tags need a label for each value
    return Task(output.name, kind, shape, sparse, output.activation, objective)


def is_one_hot(labels: Array) -> bool:
    """Tell whether every row has a single 1 among zeros."""
    if labels.ndim < 2 or labels.shape[-1] < 2:
        return False
    return is_yes_or_no(labels) and bool((labels.sum(axis=-1) == 1).all())


def is_yes_or_no(labels: Array) -> bool:
    """Tell whether there is nothing but 0 and 1."""
    return bool(labels.size) and bool(((labels == 0) | (labels == 1)).all())


def _shape(
    output: TensorFacts, labels: Sequence[Array], loss: str, given: str
) -> tuple[int | None, ...]:
    """Return the shape of one sample's output, from the labels where the file does not tell."""
    if output.shape is not None:
        return tuple(output.shape[1:])
    if not labels:
        return ()
    like = tuple(labels[0].shape[1:])
    numbers = all(one.dtype.kind in "iub" for one in labels) and not all(map(is_one_hot, labels))
    if given or output.activation == "softmax" or loss in OF_CLASSES:
        classes = numbers and given in ("", "classification")
    elif output.activation == "sigmoid" or loss in OF_VALUES | OF_YES_OR_NO:
        classes = False
    else:
        classes = numbers and not all(map(is_yes_or_no, labels))
    return (*like, None) if classes else like


def _is_sparse(shape: tuple[int | None, ...], labels: Sequence[Array], guessed: bool) -> bool:
    """Return whether labels lack the axis of classes, or have one of size 1 in its place."""
    if not shape or shape[-1] == 1:
        return False
    if guessed:
        return shape[-1] is None
    short = {one.ndim == len(shape) for one in labels}
    column = {one.ndim == len(shape) + 1 and one.shape[-1] == 1 for one in labels}
    return short == {True} or column == {True}


def _kind_by_labels(
    shape: tuple[int | None, ...],
    sparse: bool,
    activation: str,
    loss: str,
    labels: Sequence[Array],
) -> str:
    wide = shape[-1:] not in ((), (1,))
    if sparse or (wide and all(map(is_one_hot, labels))):
        return "classification"
    if wide and activation == "softmax" and loss not in OF_VALUES:
        return "classification"  # labels are shares of classes
    if all(map(is_yes_or_no, labels)):
        return "regression" if loss in OF_VALUES and activation != "sigmoid" else "binary"
    if wide or any(one.dtype.kind == "f" for one in labels) or loss in OF_VALUES:
        return "regression"
    # whole numbers for one value: those that must be 0 and 1 are refused by `check_labels`
    told = activation == "sigmoid" or loss in OF_YES_OR_NO | OF_CLASSES
    return "binary" if told or not (activation or loss) else "regression"


def _kind_by_model(shape: tuple[int | None, ...], activation: str, loss: str) -> str:
    wide, elements = shape[-1:] not in ((), (1,)), shape[:-1]
    if activation == "softmax" or (loss in OF_CLASSES and wide):
        return "classification"
    if loss in OF_VALUES or (activation != "sigmoid" and loss not in OF_YES_OR_NO):
        return "regression"
    # several channels for each place are as likely colours as tags
    return "regression" if wide and elements and math.prod(n or 2 for n in elements) > 1 else "tags"
