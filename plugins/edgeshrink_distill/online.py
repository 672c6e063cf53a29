"""Branches of one student that teach each other while they learn."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import keras
from keras import ops

from edgeshrink.api import Context, ModelError
from edgeshrink.nn import (
    Distillation,
    SoftLoss,
    activation_of,
    functional,
    logits_of,
    macs_of,
    output_names,
    rewritten,
)

TEMPERATURE = 3.0  # Lan et al., section 4


class Branches:
    """A student whose second half there is several times; the first half is shared.

    Lan, Zhu and Gong, NeurIPS 2018, "Knowledge distillation by on-the-fly native ensemble",
    section 3: a gate weighs the branches' logits for each sample; the ensemble and each branch
    learn the labels, and each branch the ensemble's answers too (equation 6).

    Attributes:
        model: gives the answers of each branch, then of the ensemble.
        split: the layer that the branches begin behind.

    Args:
        student: of one output, which tells classes.
        count: of branches, at least 2; the first keeps the student's weights, the others start
            from random ones, since equal branches would stay equal.

    Raises:
        ModelError: it has several outputs, or tells no classes.
    """

    def __init__(self, student: keras.Model, count: int) -> None:
        self.student = functional(student)
        if len(self.student.outputs) > 1 or activation_of(student, 0) != "softmax":
            raise ModelError(
                "only students of one output that ends in a softmax can have branches",
                hint="drop --distill-online",
            )
        split = waist(self.student)
        self.split = str(split._keras_history.operation.name)
        tail = keras.Model(split, self.student.outputs[0], name="branch")
        self._tails = [tail] + [keras.models.clone_model(tail) for _ in range(1, count)]
        for place, other in enumerate(self._tails[1:], 2):
            other.name = f"branch_{place}"
        answers = [self.student.outputs[0], *(other(split) for other in self._tails[1:])]
        gate = keras.layers.Dense(count, activation="softmax", name="gate")
        weights = gate(ops.mean(split, axis=range(1, len(split.shape) - 1)))
        logits = ops.stack([logits_of("softmax", answer) for answer in answers], axis=-1)
        together = _Following()([ops.sum(logits * weights[:, None, :], axis=-1), *answers])
        ensemble = keras.layers.Softmax(name="ensemble")(together)
        self.model = keras.Model(self.student.input, [*answers, ensemble])

    def lent(self, context: Context) -> Context:
        """Return a context in which every output has the labels, and the first branch scores."""
        data = context.data
        assert data is not None
        assert data.train is not None
        labels = data.train.all_labels
        if isinstance(labels, dict):
            (labels,) = labels.values()
        if labels is not None:
            labels = dict.fromkeys(output_names(self.model), labels)
        return replace(
            context,
            data=replace(data, train=replace(data.train, all_labels=labels)),
            evaluate=lambda model, most=None: context.evaluate(self.student, most),
            evaluate_each=lambda model: context.evaluate_each(self.student),
            agreement=lambda model: context.agreement(self.student),
        )

    def best(self, context: Context) -> tuple[int, keras.Model]:
        """Return the branch that scores best, the first where nothing tells, as a plain model."""
        alone = [
            keras.Model(self.student.input, answer, name=self.student.name)
            for answer in self.model.outputs[:-1]
        ]
        scores = [context.evaluate(model) or 0.0 for model in alone]
        place = scores.index(max(scores))
        return place, rewritten(alone[place], lambda op, name: None)


class _Following(keras.layers.Layer):
    """Hands on an ensemble's logits, and lets each branch follow them."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._apart = SoftLoss("softmax", Distillation(TEMPERATURE))

    def call(self, answers: list[Any], training: bool | None = None) -> Any:
        """Return the first of these, `(batch, classes)`, the ensemble's logits."""
        together, *alone = answers
        if training:
            said = ops.stop_gradient(ops.softmax(together))
            for branch in alone:
                self.add_loss(self._apart(said, branch))
        return together


def waist(graph: keras.Model) -> keras.KerasTensor:
    """Return the tensor, nearest to half of the work, that all that follows depends on alone.

    Raises:
        ModelError: there is none but inputs and outputs.
    """
    nodes = [
        node
        for depth in sorted(graph._nodes_by_depth, reverse=True)
        for node in graph._nodes_by_depth[depth]
        if not node.is_input
    ]
    done, work = [0], [_macs(node) for node in nodes]
    for macs in work:
        done.append(done[-1] + macs)
    found = []
    for place, node in enumerate(nodes[:-1]):
        before = {id(t) for t in graph.inputs}
        before |= {id(t) for earlier in nodes[:place] for t in earlier.outputs}
        later = [t for other in nodes[place + 1 :] for t in other.input_tensors]
        if len(node.outputs) == 1 and not any(id(t) in before for t in later):
            found.append((abs(done[place + 1] / max(1, done[-1]) - 0.5), place))
    if not found:
        raise ModelError(
            f"{graph.name} has no place where it could branch", hint="drop --distill-online"
        )
    return nodes[min(found)[1]].outputs[0]


def _macs(node: Any) -> int:
    shapes = [tuple(t.shape) for t in node.input_tensors]
    return macs_of(node.operation, shapes, tuple(node.outputs[0].shape))
