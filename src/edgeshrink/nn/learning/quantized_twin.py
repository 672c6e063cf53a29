"""The fake-quantized twin of a model: it computes as the integer file will, and can be trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import keras
import numpy as np

from edgeshrink.nn.graph import LINEAR_LAYERS, consumers, functional, opened, structured
from edgeshrink.nn.learning.fake_quantization import Range
from edgeshrink.nn.learning.reparameterization import Forward, Reparameterized

_layers = keras.layers
# They hand on values as they are, so the runtime gives their output the scale of their input.
PASSING = (
    _layers.Flatten,
    _layers.Reshape,
    _layers.Permute,
    _layers.Dropout,
    _layers.SpatialDropout1D,
    _layers.SpatialDropout2D,
    _layers.GaussianNoise,
    _layers.ActivityRegularization,
    _layers.Identity,
    _layers.MaxPooling1D,
    _layers.MaxPooling2D,
    _layers.GlobalMaxPooling1D,
    _layers.GlobalMaxPooling2D,
    _layers.ZeroPadding1D,
    _layers.ZeroPadding2D,
    _layers.Cropping1D,
    _layers.Cropping2D,
    _layers.RepeatVector,
    _layers.UpSampling1D,
    _layers.InputLayer,
)
# They compute, but on the codes of their input: the output has its scale, and is rounded to it.
SAME_SCALE = (_layers.AveragePooling1D, _layers.AveragePooling2D)
# The runtime computes them together with a ReLU behind them.
WITH_RELU = (*LINEAR_LAYERS, _layers.Add, _layers.Subtract, _layers.Multiply)
# Outputs with a scale that the runtime's kernels prescribe, 8 bits.
PRESCRIBED = {"softmax": (0.0, 255 / 256), "sigmoid": (0.0, 255 / 256), "tanh": (-1.0, 127 / 128)}

Ends = Literal["learned", "moving", "fixed"]


def twin(
    model: keras.Model,
    weights: Mapping[str, Sequence[Forward]],
    ranges: Mapping[str, np.ndarray],
    *,
    bits: int = 8,
    ends: Ends = "moving",
) -> tuple[Reparameterized, dict[str, Range]]:
    """Return the twin of a folded model, whose variables it shares, and its ranges by name.

    Args:
        model: from `folded`.
        weights: the functions that a weight is computed through, in order, by the weight's path.
        ranges: first ends of each activation, `(2,)` by name, from `calibrated_ranges`.
        bits: of activations.
        ends: how ranges move in training: `learned` by gradient, `moving` averages of what is
            seen, or `fixed`.

    Returns:
        The twin, and by the names of `ranges` the layers that round activations; the `values` of
        one are its ends, float32 `(2,)`.

    Raises:
        ModelError: a path is that of two weights.
        KeyError: a path is that of no trainable weight.
    """
    placed: dict[str, Range] = {}
    own: dict[int, Range] = {}  # by id of the symbolic tensor that it rounded

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        made = layer(*args, **kwargs)
        name = names(layer)
        if isinstance(layer, SAME_SCALE) and id(args[0]) in own:
            same = own[id(args[0])]
            rounded = same(made)
            own[id(rounded)] = same
            return rounded
        if isinstance(layer, PASSING) and not isinstance(layer, _layers.InputLayer):
            if id(args[0]) in own:
                own[id(made)] = own[id(args[0])]
            return made
        if name not in ranges:
            return made
        prescribed = PRESCRIBED.get(_activation(layer)) if bits == 8 else None
        low, high = prescribed or (float(end) for end in ranges[name])
        placed[name] = Range(
            low, high, bits, "fixed" if prescribed else ends, name=f"range_{len(placed)}"
        )
        rounded = placed[name](made)
        own[id(rounded)] = placed[name]
        return rounded

    names = _Names()
    graph = functional(model)
    inputs = keras.tree.map_structure(
        lambda t: keras.Input(batch_shape=t.shape, dtype=t.dtype, name=t.name), graph.input
    )
    rounded = []
    for tensor in keras.tree.flatten(inputs):
        name = f"input:{tensor.name}"
        if name in ranges:
            low, high = (float(end) for end in ranges[name])
            placed[name] = Range(low, high, bits, ends, name=f"range_{len(placed)}")
            tensor = placed[name](tensor)
            own[id(tensor)] = placed[name]
        rounded.append(tensor)
    outputs = opened(graph, keras.tree.pack_sequence_as(inputs, rounded), call)
    made = keras.Model(inputs, outputs, name=graph.name)
    return Reparameterized(made, weights), placed


def rounded_tensors(model: keras.Model) -> dict[str, Any]:
    """Return the symbolic tensors of a folded model that an integer file rounds, by name.

    Left out are those that the runtime never writes out: in front of a ReLU that is computed
    together with their layer, and what hands on values as they are. Outputs of softmax and
    sigmoid at the end are left out too: rounded to 1/256 they have no gradient where it matters.
    """
    graph = functional(model)
    outputs = {id(t) for t in graph.outputs}
    found = {f"input:{t.name}": t for t in graph.inputs if _is_float(t)}
    names = _Names()
    for nodes in sorted(graph._nodes_by_depth.items(), reverse=True):
        for node in nodes[1]:
            if node.is_input:
                continue
            layer, tensors = node.operation, node.outputs
            name = names(layer)
            if isinstance(layer, (*PASSING, *SAME_SCALE)) or len(tensors) != 1:
                continue
            if not _is_float(tensors[0]) or _joined_later(layer, graph):
                continue
            if id(tensors[0]) in outputs and _activation(layer) in ("softmax", "sigmoid"):
                continue
            found[name] = tensors[0]
    return found


def calibrated_ranges(
    model: keras.Model, samples: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Return the least and greatest value of each tensor that an integer file rounds.

    Args:
        model: from `folded`.
        samples: `(samples, ...)` for each input.

    Returns:
        Float32 `(2,)` by name: `input:NAME` for an input; the name of the layer for what it puts
        out, with `:1`, `:2`, ... behind it where it is called again.
    """
    values = observed_values(model, samples)
    return {name: np.array([v.min(), v.max()], "float32") for name, v in values.items()}


def observed_values(
    model: keras.Model, samples: Mapping[str, np.ndarray], *, batch: int = 64
) -> dict[str, np.ndarray]:
    """Return the values of each rounded tensor for these samples, by name."""
    tensors = rounded_tensors(model)
    probe = keras.Model(model.input, list(tensors.values()))
    made = probe.predict(structured(model, samples), batch_size=batch, verbose=0)
    return dict(zip(tensors, map(np.asarray, keras.tree.flatten(made)), strict=True))


class _Names:
    """Names calls of layers in the order of a graph: a layer that is called twice has two."""

    def __init__(self) -> None:
        self._calls: dict[str, int] = {}

    def __call__(self, layer: Any) -> str:
        count = self._calls.get(layer.name, 0)
        self._calls[layer.name] = count + 1
        return f"{layer.name}:{count}" if count else str(layer.name)


def _joined_later(layer: Any, graph: keras.Model) -> bool:
    """Return whether the only consumer is a ReLU or a concatenation, which then is rounded."""
    behind = consumers(layer, graph)
    if len(behind) != 1 or layer in {t._keras_history.operation for t in graph.outputs}:
        return False
    if isinstance(behind[0], _layers.Concatenate):
        return True
    return isinstance(layer, WITH_RELU) and is_relu(behind[0])


def is_relu(layer: Any) -> bool:
    """Return whether a layer is a ReLU that kernels compute along: unbounded, or up to 6.

    Args:
        layer: a `ReLU` or `Activation` layer; for any other the answer is False.
    """
    if isinstance(layer, _layers.ReLU):
        plain = not layer.negative_slope and not layer.threshold
        return plain and layer.max_value in (None, 6.0)
    return _activation(layer) in ("relu", "relu6")


def _activation(layer: Any) -> str:
    if isinstance(layer, _layers.Softmax):
        return "softmax"
    if isinstance(layer, _layers.Activation):
        return getattr(layer.activation, "__name__", "")
    return ""


def _is_float(tensor: Any) -> bool:
    return "float" in str(tensor.dtype)
