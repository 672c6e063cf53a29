"""Recurrent layers as the converter meets them: one fused operator, a loop, or step by step.

TensorFlow's converter turns a function into the operator UNIDIRECTIONAL_SEQUENCE_LSTM if the
function says by its attributes that it implements an LSTM (`ConvertKerasLSTMLayer` in
`tensorflow/compiler/mlir/lite/utils/lstm_utils.cc`). Keras 3 does not write such functions, so
while a model is exported we do, in the place of its layers' own loops. The model itself is not
changed.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras


@dataclass(frozen=True)
class Loop:
    """One run of a recurrent layer that the converter makes a loop of.

    Attributes:
        layer: its name.
        cell: class of its cell, such as `LSTMCell`.
        steps: length of its sequence.
        reason: why no operator of the runtime computes it.
    """

    layer: str
    cell: str
    steps: int
    reason: str


def recurrent_layers(model: keras.Model) -> list[keras.layers.RNN]:
    """Return the recurrent layers of a model, those of nested models and wrappers included.

    Args:
        model: any Keras model.
    """
    return [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.RNN)]


@contextlib.contextmanager
def written(model: keras.Model, *, fuse: bool, unroll: bool) -> Iterator[list[Loop]]:
    """Decide how recurrent layers are written when the model is traced inside of the context.

    Args:
        model: with a static batch of one, a static number of steps, and inference in mind.
        fuse: whether layers that fit the fused LSTM operator become that operator.
        unroll: whether the others are written step by step; otherwise as a loop.

    Yields:
        What is not fused, as it is met while the model is traced; without the layers that unroll
        by themselves.
    """
    loops: list[Loop] = []
    changed = recurrent_layers(model)
    try:
        for layer in changed:
            # An attribute of this one layer shadows the method of its class.
            layer.inner_loop = _InnerLoop(layer, loops, fuse, unroll)
        yield loops
    finally:
        for layer in changed:
            vars(layer).pop("inner_loop", None)


class _InnerLoop:
    """Stands for `inner_loop` of one layer."""

    def __init__(
        self, layer: keras.layers.RNN, loops: list[Loop], fuse: bool, unroll: bool
    ) -> None:
        self.layer, self.own, self.loops = layer, layer.inner_loop, loops
        self.fuse, self.unroll = fuse, unroll

    def __call__(
        self, sequences: Any, initial_state: Any, mask: Any, training: bool = False
    ) -> tuple[Any, Any, Any]:
        """Return the last output, all outputs, and the last states, as `inner_loop` does."""
        layer = self.layer
        reason = _obstacle(layer, sequences, initial_state, mask)
        if self.fuse and not reason:
            return _fused(layer, sequences, initial_state)
        unrolled = layer.unroll
        if not unrolled:
            kind, steps = type(layer.cell).__name__, int(sequences.shape[1])
            self.loops.append(Loop(layer.name, kind, steps, reason or "it is not to be fused"))
        layer.unroll = unrolled or self.unroll
        try:
            found: tuple[Any, Any, Any] = self.own(sequences, initial_state, mask, training)
        finally:
            layer.unroll = unrolled
        return found


def _obstacle(layer: keras.layers.RNN, sequences: Any, initial_state: Any, mask: Any) -> str:
    """Return why a run of a layer does not fit the fused operator; empty if it does.

    The operator has tanh and sigmoid built in, starts from zero, keeps its last states to
    itself, and carries them over where it runs several times, as it would inside a loop.
    """
    import tensorflow as tf

    cell = layer.cell
    if type(cell) is not keras.layers.LSTMCell or type(layer) not in (
        keras.layers.LSTM,
        keras.layers.RNN,
    ):
        return f"the runtime has no operator for {type(layer).__name__}"
    if cell.units == 1:
        # A gate of zeros would be stored as one constant with the state, and change with it.
        return "it has one unit"
    if mask is not None:
        return "its input is masked"
    if (cell.activation, cell.recurrent_activation) != (
        keras.activations.tanh,
        keras.activations.sigmoid,
    ):
        return "its activations are not tanh and sigmoid"
    if layer.stateful or layer.return_state:
        return "its states are kept or returned"
    if cell.compute_dtype != "float32":
        return f"it computes in {cell.compute_dtype}"
    starts = [tf.get_static_value(state) for state in initial_state]
    if any(start is None or start.any() for start in starts):
        return "it does not start from zero"
    graph = tf.compat.v1.get_default_graph()
    if sequences.shape[0] != 1 or hasattr(graph.outer_graph, "outer_graph"):
        return "it runs several times for each sample"
    return ""


def _fused(
    layer: keras.layers.RNN, sequences: Any, initial_state: Any
) -> tuple[Any, Any, list[Any]]:
    """Return what `inner_loop` does, from a function that the converter takes for an LSTM.

    Its arguments, their order, and its five results are what the converter expects.
    """
    import tensorflow as tf

    def lstm(
        inputs: Any, hidden: Any, cell: Any, kernel: Any, recurrent: Any, bias: Any
    ) -> tuple[Any, ...]:
        def step(states: tuple[Any, Any], value: Any) -> tuple[Any, Any]:
            sums = tf.matmul(value, kernel) + tf.matmul(states[0], recurrent) + bias
            write, forget, new, read = tf.split(sums, 4, axis=1)
            kept = tf.sigmoid(forget) * states[1] + tf.sigmoid(write) * tf.tanh(new)
            return tf.sigmoid(read) * tf.tanh(kept), kept

        outputs, cells = tf.scan(step, tf.transpose(inputs, (1, 0, 2)), (hidden, cell))
        result = tf.transpose(outputs, (1, 0, 2))
        return outputs[-1], result, outputs[-1], cells[-1], tf.constant(0.0)

    function = tf.function(
        lstm,
        autograph=False,
        experimental_attributes={
            "api_implements": f"lstm_{uuid.uuid4()}",  # one of its own for each run
            "api_preferred_device": "CPU",
            "time_major": False,
            "go_backwards": False,
        },
    )
    cell = layer.cell
    if layer.go_backwards:
        sequences = tf.reverse(sequences, (1,))
    weights = [tf.convert_to_tensor(weight) for weight in (cell.kernel, cell.recurrent_kernel)]
    bias = tf.convert_to_tensor(cell.bias) if cell.use_bias else tf.zeros(4 * cell.units)
    last, outputs, *states, _ = function(sequences, *initial_state, *weights, bias)
    return last, outputs, states
