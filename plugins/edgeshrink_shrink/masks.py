"""How the loss of each sample changes if a channel goes: masks where channels are taken in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
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
    objectives,
    training_batches,
)

SAMPLES, BATCH = 2048, 64
CELLS = (keras.layers.LSTMCell, keras.layers.GRUCell, keras.layers.SimpleRNNCell)


def changes_of_loss(graph: ChannelGraph, context: Context) -> Iterator[np.ndarray]:
    """Yield for batches of training samples each sample's change of the loss, `(batch, numbers)`.

    That is the gradient of its loss by a mask on the channel (`masked`): the sum over layers,
    places, steps and members of the channel of activation times gradient, hence the first-order
    change if the channel goes. One backward pass gives it for all samples and channels of a batch.

    Args:
        graph: of the model.
        context: its training samples, and what the model is trained towards.
    """
    losses, labels = objectives(graph.model, context)
    taught = any(loss.soft is not None for loss in losses.values())
    trainee = Trainee(graph.model, losses, context.original() if taught else None)

    @tf.function
    def gradients(x: Any, y: Any) -> Any:
        mask = tf.ones((size, graph.numbers))
        with tf.GradientTape() as tape:
            tape.watch(mask)
            with masked(graph, mask):
                answers = trainee(x, training=False)
            loss = size * trainee.compute_loss(x, y, answers)  # of a mean over the batch, the sum
        return tape.gradient(loss, mask, unconnected_gradients="zero")

    data = context.data
    assert data is not None
    assert data.train is not None
    size = min(BATCH, len(data.train))
    wanted = max(1, min(SAMPLES, len(data.train)) // size)
    still = replace(context, training=Training())
    pipeline = training_batches(graph.model, still, labels, size).take(wanted)
    for place, (x, y) in enumerate(pipeline):
        context.progress(0.0, f"gradients of batch {place + 1} of {wanted}")
        yield np.asarray(gradients(x, y), "float64")


@contextmanager
def masked(graph: ChannelGraph, mask: Any) -> Iterator[None]:
    """Mask channels of the graph's model while the block lasts.

    Masks are before the kernels that take channels in, and nowhere else: what hands a channel on
    (batch norms, depthwise and grouped convolutions, sums) leads to such a kernel, so that none is
    masked twice on one path. At one a mask changes nothing; at zero the model answers as if the
    channel were not made (`zeroed`).

    Args:
        graph: of the model.
        mask: a factor for each sample and channel, `(batch, numbers)`.
    """
    axes = {id(axis.variable): axis for axis in graph.axes if axis.role is AxisRole.INPUTS}
    with ExitStack() as stack:
        for layer in graph.model._flatten_layers(include_self=False):
            if getattr(layer, "use_cudnn", False):  # runs all steps at once, and calls no cell
                stack.enter_context(_lent(layer, "use_cudnn", False))
            if any(inner.weights for inner in layer._layers):
                continue  # what it wraps takes in
            taken = [
                _Mask(mask, axes[id(v)], graph.leftovers.get(id(v)), _place(layer, axes[id(v)]))
                for v in layer.weights
                if id(v) in axes
            ]
            if taken:
                kind = _stepping if isinstance(layer, CELLS) else _taking
                stack.enter_context(_lent(layer, "call", kind(layer, *taken)))
        yield


def _place(layer: keras.Layer, axis: WeightAxis) -> int:
    """Return which axis of a layer's input an axis of its kernel meets, from the end."""
    if isinstance(layer, keras.layers.EinsumDense):  # in attention, features stand behind heads
        given, kernel = layer.equation.partition("->")[0].split(",")
        return int(given.index(kernel[axis.axis]) - len(given))
    return -1


class _Mask:
    """The mask of channels that a kernel takes in, called with what holds them."""

    def __init__(self, mask: Any, axis: WeightAxis, left: np.ndarray | None, place: int) -> None:
        self.factor = tf.gather(mask, axis.ids, axis=1)
        self.left = np.zeros(len(axis.ids)) if left is None else left
        self.place = place

    def __call__(self, x: Any) -> Any:
        """Return `x` with each channel between itself, at one, and what it leaves, at zero."""
        # before the depthwise half of a separable convolution there may be fewer places
        step = len(self.left) // x.shape[self.place]
        behind = (1,) * (-1 - self.place)
        before = (1,) * (len(x.shape) - 2 - len(behind))
        factor = tf.reshape(self.factor[:, ::step], (-1, *before, x.shape[self.place], *behind))
        factor = tf.cast(factor, x.dtype)
        if not self.left.any():
            return factor * x
        return factor * x + (1 - factor) * self.left[::step].reshape(-1, *behind)


def _taking(layer: keras.Layer, mask: _Mask) -> Callable[..., Any]:
    """Return the call of a layer that takes in masked channels."""
    call = layer.call
    return lambda x, *args, **kwargs: call(mask(x), *args, **kwargs)


def _stepping(cell: keras.Layer, entering: _Mask, units: _Mask) -> Callable[..., Any]:
    """Return the call of a recurrent cell that takes in masked channels and units."""
    call, activation = cell.call, cell.activation

    def stepped(x: Any, states: Any, *args: Any, **kwargs: Any) -> Any:
        before, *others = states
        seen = units(before)
        if not isinstance(cell, keras.layers.GRUCell):
            return call(entering(x), [seen, *others], *args, **kwargs)
        # z seen + (1 - z) new, but a unit's own state is no other's to take in: z before
        lacking = before - seen
        with _lent(cell, "activation", lambda v: activation(v) - lacking):
            made, _ = call(entering(x), [seen], *args, **kwargs)
        return made + lacking, [made + lacking]

    return stepped


@contextmanager
def _lent(layer: keras.Layer, name: str, value: Any) -> Iterator[None]:
    """Give a layer another attribute while the block lasts."""
    own = vars(layer).get(name)
    setattr(layer, name, value)
    try:
        yield
    finally:
        if own is None:  # it is of the class
            delattr(layer, name)
        else:
            setattr(layer, name, own)
