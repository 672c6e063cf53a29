"""Cross-layer equalization: neighbours share their scales until channels are alike in range."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from edgeshrink.api import Context
from edgeshrink.nn import DEPTHWISE_LAYERS, consumers, folded, functional, shared_values

_layers = keras.layers
WHOLE = (_layers.Dense, _layers.Conv1D, _layers.Conv2D)
# They treat each channel alone, and a channel that is scaled comes out scaled.
EQUIVARIANT = (
    _layers.Dropout,
    _layers.SpatialDropout1D,
    _layers.SpatialDropout2D,
    _layers.ZeroPadding1D,
    _layers.ZeroPadding2D,
    _layers.MaxPooling1D,
    _layers.MaxPooling2D,
    _layers.AveragePooling1D,
    _layers.AveragePooling2D,
    _layers.GlobalMaxPooling1D,
    _layers.GlobalMaxPooling2D,
    _layers.GlobalAveragePooling1D,
    _layers.GlobalAveragePooling2D,
)
SWEEPS = 100
SETTLED = 1e-3  # a sweep that changes no channel by more is the last


def equalized(model: keras.Model, context: Context) -> keras.Model:
    """Return the folded model with equalized weights; it answers as before.

    The weights are divided by `s` for each output channel of one layer and multiplied by it for
    the next, with `s` such that both have the same range (Nagel et al., "Data-Free Quantization
    Through Weight Equalization and Bias Correction", ICCV 2019, section 4.1, eq. 9-11), pair by
    pair until nothing changes. Pairs are joined by a ReLU without a bound or nothing; kernels
    with shared values stay as they are.
    """
    plain = folded(model)
    sharing = shared_values(plain)
    joined = [
        pair for pair in pairs(plain) if not any(layer.kernel.path in sharing for layer in pair)
    ]
    before = _spread(joined)
    for sweep in range(SWEEPS):
        context.progress(sweep / SWEEPS, "equalizing layers")
        if max((_equalize(*pair) for pair in joined), default=0.0) < SETTLED:
            break
    context.facts["equalized_pairs"] = len(joined)
    if not joined:
        context.notes.append("no two layers are joined so that their scales could be equalized")
    else:
        context.notes.append(
            f"pairs of layers equalized: {len(joined)}; the widest channel of a kernel was "
            f"{before:.1f} times the median one, and is {_spread(joined):.1f} times"
        )
    return plain


def pairs(model: keras.Model) -> list[tuple[Any, Any]]:
    """Return the layers of a folded model whose channels go, scaled or not, into one other alone.

    Args:
        model: from `nn.graph.fold.folded`.
    """
    graph = functional(model)
    ends = {id(t._keras_history.operation) for t in graph.outputs}
    found = []
    for layer in graph.layers:
        if not _scales_outputs(layer):
            continue
        here = layer
        while len(behind := consumers(here, graph)) == 1 and id(here) not in ends:
            here = behind[0]
            if not (isinstance(here, EQUIVARIANT) or _is_plain_relu(here)):
                break
        else:
            continue
        if _scales_inputs(here) and all(len(n._inbound_nodes) == 1 for n in (layer, here)):
            found.append((layer, here))
    return found


def _is_plain_relu(layer: Any) -> bool:
    """Return whether a layer is a ReLU without a bound, or nothing."""
    if isinstance(layer, _layers.ReLU):
        return layer.max_value is None and not layer.negative_slope and not layer.threshold
    return isinstance(layer, _layers.Activation) and _positive(layer)


def _positive(layer: Any) -> bool:
    """Return whether an activation gives twice as much for twice the input."""
    return getattr(layer.activation, "__name__", "") in ("relu", "linear")


def _scales_outputs(layer: Any) -> bool:
    return type(layer) in (*WHOLE, *DEPTHWISE_LAYERS) and _positive(layer) and _separate(layer)


def _scales_inputs(layer: Any) -> bool:
    return type(layer) in (*WHOLE, *DEPTHWISE_LAYERS) and _separate(layer)


def _separate(layer: Any) -> bool:
    """Return whether the axes of a kernel tell the channels of input and output."""
    if isinstance(layer, DEPTHWISE_LAYERS):
        return bool(layer.depth_multiplier == 1 and layer.data_format == "channels_last")
    if isinstance(layer, _layers.Dense):
        return True
    return bool(layer.groups == 1 and layer.data_format == "channels_last")


def _equalize(first: Any, second: Any) -> float:
    """Equalize one pair; return how much the most changed channel changed, as |log s|."""
    ranges = _outputs(first), _inputs(second)
    alive = (ranges[0] > 0) & (ranges[1] > 0)
    ratio = np.divide(ranges[0], ranges[1], out=np.ones_like(ranges[0]), where=alive)
    scale = np.sqrt(ratio)
    _assign(first.kernel, 1 / scale, -2 if isinstance(first, DEPTHWISE_LAYERS) else -1)
    if first.use_bias:
        _assign(first.bias, 1 / scale, -1)
    _assign(second.kernel, scale, -2)
    return float(np.abs(np.log(scale)).max(initial=0.0))


def _assign(variable: Any, factor: np.ndarray, axis: int) -> None:
    """Multiply a variable along an axis."""
    shape = [1] * len(variable.shape)
    shape[axis] = -1
    variable.assign(np.asarray(variable, "float64") * factor.reshape(shape))


def _outputs(layer: Any) -> np.ndarray:
    """Return the greatest magnitude of each output channel's weights."""
    return _largest(layer, -2 if isinstance(layer, DEPTHWISE_LAYERS) else -1)


def _inputs(layer: Any) -> np.ndarray:
    """Return the greatest magnitude of the weights that each input channel is multiplied with."""
    return _largest(layer, -2)


def _largest(layer: Any, axis: int) -> np.ndarray:
    values = np.moveaxis(np.abs(np.asarray(layer.kernel, "float64")), axis, -1)
    return np.asarray(values.reshape(-1, values.shape[-1]).max(axis=0))


def _spread(joined: list[tuple[Any, Any]]) -> float:
    """Return, of the kernels that worst one's greatest channel over its median channel."""
    ratios = [1.0]
    for first, _ in joined:
        largest = _outputs(first)
        middle = float(np.median(largest))
        ratios += [float(largest.max()) / middle] if middle else []
    return max(ratios)
