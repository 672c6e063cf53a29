"""How the loss of each sample changes if a channel goes: gates where channels are taken in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from edgeshrink.api import Context, Training
from edgeshrink.nn import (
    AxisRole,
    ChannelGraph,
    Trainee,
    WeightAxis,
    functional,
    objectives,
    opened,
    training_batches,
)

SAMPLES, BATCH = 2048, 64


def changes_of_loss(graph: ChannelGraph, context: Context) -> Iterator[np.ndarray]:
    """Yield for batches of training samples each sample's change of the loss, `(batch, numbers)`.

    A gate of one stands before each layer that takes channels in; its gradient is the sum over
    places of activation times gradient, which is the first-order change of the loss if the
    channel goes. Channels that only meet within a layer (heads of attention, inputs of grouped
    convolutions) are gated nowhere: theirs is the sum over the kernels of weight times gradient,
    which no sample has for itself.

    Args:
        graph: of the model.
        context: its training samples, and what the model is trained towards.
    """
    gated, inner = _places(graph)
    losses, labels = objectives(graph.model, context)
    taught = any(loss.soft is not None for loss in losses.values())
    model = _Gated(graph.model, {id(op): axis for op, axis in gated})
    trainee = Trainee(model, losses, context.original() if taught else None)

    @tf.function
    def gradients(x: Any, y: Any) -> Any:
        kernels = [axis.variable.value for axis in inner]
        with tf.GradientTape() as tape:
            model.gates = {id(op): tf.ones((size, len(axis.ids))) for op, axis in gated}
            tape.watch(list(model.gates.values()))
            loss = size * trainee.compute_loss(x, y, trainee(x, training=False))
        gates = list(model.gates.values())
        found = tape.gradient(loss, [*gates, *kernels], unconnected_gradients="zero")
        products = [g * w for g, w in zip(found[len(gates) :], kernels, strict=True)]
        return found[: len(gates)], products

    data = context.data
    assert data is not None
    assert data.train is not None
    size = min(BATCH, len(data.train))
    wanted = max(1, min(SAMPLES, len(data.train)) // size)
    still = replace(context, training=Training())
    pipeline = training_batches(graph.model, still, labels, size).take(wanted)
    for place, (x, y) in enumerate(pipeline):
        context.progress(0.0, f"gradients of batch {place + 1} of {wanted}")
        changes = np.zeros((size, graph.numbers))
        by_gate, by_kernel = gradients(x, y)
        for (_, axis), gradient in zip(gated, by_gate, strict=True):
            np.add.at(changes, (slice(None), axis.ids), np.asarray(gradient))
        for axis, product in zip(inner, by_kernel, strict=True):
            along = np.moveaxis(np.asarray(product), axis.axis, 0)
            # of the whole batch: each sample is given its share
            share = along.reshape(len(along), -1).sum(1) / size
            np.add.at(changes, (slice(None), axis.ids), share[None])
        yield changes


def _places(graph: ChannelGraph) -> tuple[list[tuple[Any, WeightAxis]], list[WeightAxis]]:
    """Return the layers that are gated, with the axis that takes in; and axes left to kernels."""
    by_kernel = {id(a.variable): a for a in graph.axes if a.role is AxisRole.INPUTS}
    gated, met = [], np.zeros(graph.numbers, bool)
    for call, _ in graph.calls.values():
        variables = getattr(call.op, "weights", [])
        axis = next((by_kernel[id(v)] for v in variables if id(v) in by_kernel), None)
        value = call.values[0] if call.values else None
        if axis is not None and value is not None and value.shape[-1] == len(axis.ids):
            gated.append((call.op, axis))
            met[axis.ids] = True
    inner = [a for a in graph.axes if a.role is not AxisRole.OWN and len(a.variable.shape) > 1]
    return gated, [a for a in inner if not met[a.ids].any()]


class _Gated(keras.Model):
    """A model whose layers see gated inputs; variables, inputs and outputs are the model's own."""

    def __init__(self, model: keras.Model, axes: dict[int, WeightAxis]) -> None:
        super().__init__(name=model.name)
        self.model, self._axes = model, axes
        self.gates: dict[int, Any] = {}

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Return the model's outputs."""

        def call(op: Any, *args: Any, **kwargs: Any) -> Any:
            if isinstance(op, keras.Model):
                return opened(op, args[0], call)
            if id(op) in self.gates:
                x, gate = args[0], self.gates[id(op)]
                shape = (-1, *(1,) * (len(x.shape) - 2), gate.shape[-1])
                args = (x * tf.cast(tf.reshape(gate, shape), x.dtype), *args[1:])
            return op(*args, **kwargs)

        return opened(functional(self.model), inputs, call)
