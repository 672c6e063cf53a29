"""Depthwise separable convolutions in the place of whole ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from edgeshrink.api import Context, ModelError
from edgeshrink.nn import (
    Call,
    copied,
    count,
    finetune,
    functional,
    layer_calls,
    layers_in,
    rewritten,
    with_weights,
)
from edgeshrink_lowrank.chains import depthwise, linked, samples, walked
from edgeshrink_lowrank.sites import CONVOLUTIONS, reasons

if TYPE_CHECKING:
    from edgeshrink_lowrank.options import DepthwiseOptions

# Input channels that are few: a filter for each of them leaves next to nothing (Lagrange, section
# IV: the first layer stays whole).
FEW = 4
SAMPLES = 256  # on which the halves are fitted
ROWS = 50_000  # places in which, at most
DAMPING = 0.01  # of the mean of the squares: where samples say little, the weights stay


class Separable:
    """A convolution as two: a filter for each channel, then a mixture of the channels.

    A channel's slice of the kernel is a matrix, window by outputs, and its first singular vectors
    are the filter and its share of the mixture. Their sign is turned so that what a filter gives
    is rather positive, since a ReLU may follow, and inputs mostly come from one.

    Attributes:
        path: names of the nested models and the layer, joined with `/`.
        layer: the convolution.
        windows: `(*window, inputs, multiplier)`.
        mixture: `(inputs * multiplier, outputs)`.
        loss: share of the kernel's squares that is lost.
    """

    def __init__(self, path: str, layer: Any, multiplier: int) -> None:
        self.path, self.layer = path, layer
        kernel = np.asarray(layer.kernel, "float64")
        *window, inputs, outputs = kernel.shape
        slices = kernel.reshape(-1, inputs, outputs).transpose(1, 0, 2)
        u, s, v = np.linalg.svd(slices, full_matrices=False)
        rank = min(multiplier, s.shape[1])
        sign = np.where(u[:, :, :rank].sum(1) < 0, -1.0, 1.0)
        roots = np.sqrt(s[:, :rank]) * sign
        windows = (u[:, :, :rank] * roots[:, None]).transpose(1, 0, 2)
        self.windows = windows.reshape(*window, inputs, rank)
        self.mixture = (v[:, :rank] * roots[:, :, None]).reshape(inputs * rank, outputs)
        self.loss = float(np.square(s[:, rank:]).sum() / (np.square(s).sum() or 1.0))

    def build(self, name: str, between: str) -> Call:
        """Make the layers, and return what calls them in the place of the convolution.

        Args:
            name: of the mixture, which has the convolution's bias and activation.
            between: `relu` for a batch norm and a ReLU between the two, or `nothing`.
        """
        layer = self.layer
        ones = (1,) * len(layer.kernel_size)
        zeros = [np.zeros(len(self.mixture))] if between == "relu" else []
        self.filtered = depthwise(layer, f"{name}_depthwise", self.windows, zeros)
        config = {
            "kernel_size": ones,
            "strides": ones,
            "dilation_rate": ones,
            "padding": "valid",
            "kernel_constraint": None,
            "use_bias": True,
        }
        self.mixed = type(layer).from_config({**layer.get_config(), **config, "name": name})
        bias = np.asarray(layer.bias) if layer.use_bias else np.zeros(layer.filters)
        mixture = self.mixture.reshape(*ones, *self.mixture.shape)
        last = with_weights(self.mixed, [mixture, bias])
        self.norm = None
        if between == "nothing":
            self.before = self.filtered
            return linked(self.filtered, last)
        own = {"dtype": layer.dtype_policy, "trainable": layer.trainable}
        self.norm = keras.layers.BatchNormalization(
            axis=self.axis, name=f"{name}_depthwise_norm", **own
        )
        relu = keras.layers.ReLU(name=f"{name}_depthwise_relu", **own)
        self.before = linked(self.filtered, self.norm, relu)
        return linked(self.before, last)

    @property
    def axis(self) -> int:
        """The axis of the channels."""
        return 1 if self.layer.data_format == "channels_first" else -1

    def fit(self, given: Any) -> Any:
        """Fit what is between the halves, and the mixture, to samples; return the new output.

        The batch norm gets the samples' statistics, and is shifted so that the ReLU lets all of
        them through: what is built is still the product. Then the mixture and its bias are those
        that answer most like the whole convolution, in the sense of least squares (He et al., ICCV
        2017, "Channel pruning", section 3.1, reconstruct a layer so), damped towards the kernel's.

        Args:
            given: inputs of the convolution.
        """
        if self.norm is not None:
            rows = self._rows(self.filtered(given))
            mean, variance = rows.mean(0), rows.var(0)
            shift = np.maximum(-rows.min(0), 0)
            gamma = np.sqrt(variance + self.norm.epsilon)
            self.norm.set_weights([gamma, mean + shift, mean, variance])
        rows = self._rows(self.before(given))
        linear = copied(self.layer, "linear", {"activation": "linear"})
        wanted = self._rows(linear(given))
        middle, aim = rows.mean(0), wanted.mean(0)
        rows, wanted = rows - middle, wanted - aim
        squares = rows.T @ rows
        damping = DAMPING * np.trace(squares) / len(squares) + np.finfo("float32").tiny
        missing = rows.T @ (wanted - rows @ self.mixture)
        mixture = self.mixture + np.linalg.solve(squares + damping * np.eye(len(squares)), missing)
        kernel = mixture.reshape(self.mixed.kernel.shape)
        self.mixed.set_weights([kernel, aim - middle @ mixture])
        return self.mixed(self.before(given))

    def _rows(self, values: Any) -> np.ndarray:
        """Return values as `(places, channels)`; of many places some."""
        array = np.moveaxis(np.asarray(values, "float64"), self.axis, -1)
        array = array.reshape(-1, array.shape[-1])
        return array[:: -(-len(array) // ROWS)]


def depthwise_separable(
    model: keras.Model, options: DepthwiseOptions, context: Context
) -> keras.Model:
    """Replace convolutions, as in the compact VGG-16 of Lagrange (section IV, table VIII).

    What follows a convolution, such as its batch norm, follows the second half.

    Raises:
        UsageError: a name that no layer has.
        ModelError: there is no convolution to replace.
    """
    functional(model)
    before = count(model)
    chosen, left = convolutions(model, options)
    if not chosen:
        raise ModelError(f"no convolution can be replaced: {reasons(left) or 'there is none'}")
    places = {id(one.layer): one for one in chosen}

    def change(op: Any, name: str) -> Call | None:
        return places[id(op)].build(name, options.between) if id(op) in places else None

    made = rewritten(model, change)
    inputs = samples(model, context, SAMPLES)
    if inputs is not None:
        fit(model, chosen, inputs, context)
    elif options.between == "relu":
        context.notes.append(
            "without calibration data the ReLUs between the halves cut off what is negative there: "
            "--depthwise-between nothing answers more like before"
        )
    if context.trains:
        finetune(made, context)
    else:
        context.notes.append("nothing was trained: nothing makes good for what was lost")
    after = count(made)
    context.facts["macs"], context.facts["parameters"] = after.macs, after.parameters
    context.facts["trainable"] = after.trainable
    context.facts["energy_lost"] = {one.path: one.loss for one in chosen}
    worst = max(chosen, key=lambda one: one.loss)
    context.notes.append(
        f"convolutions that became depthwise separable: {len(chosen)}; "
        f"{before.macs:,} → {after.macs:,} multiply-accumulates, "
        f"{before.trainable:,} → {after.trainable:,} trainable parameters"
    )
    context.notes.append(
        f"one filter for each channel loses {np.mean([one.loss for one in chosen]):.0%} of a "
        f"kernel's squares on average, most in {worst.path} ({worst.loss:.0%})"
    )
    if left:
        context.notes.append(f"left as they are: {reasons(left)}")
    return made


def convolutions(
    model: keras.Model, options: DepthwiseOptions
) -> tuple[list[Separable], dict[str, str]]:
    """Return the convolutions to replace, and why others are not, by path.

    Raises:
        UsageError: a name that no layer has.
    """
    every = options.layers == ("all",)
    named = layers_in(model, ("all",) if every else options.layers, "depthwise")
    wanted = {id(layer) for layer in named}
    chosen: dict[int, Separable] = {}
    left = {}
    for path, layer, _, _ in layer_calls(model):
        if id(layer) not in wanted or id(layer) in chosen or path in left:
            continue
        if reason := _obstacle(layer, options.multiplier, few=every):
            if not every or isinstance(layer, CONVOLUTIONS):
                left[path] = reason
        else:
            chosen[id(layer)] = Separable(path, layer, options.multiplier)
    return list(chosen.values()), left


def _obstacle(layer: Any, multiplier: int, *, few: bool) -> str:
    """Return why a layer is not replaced; empty if it is."""
    if type(layer) not in (keras.layers.Conv1D, keras.layers.Conv2D):
        return f"a {type(layer).__name__} has no depthwise form"
    *window, inputs, outputs = layer.kernel.shape
    if layer.groups > 1:
        return "its channels are in groups"
    if math.prod(window) == 1:
        return "its window is one place"
    if few and inputs <= FEW:
        return f"it has {inputs} input channels"
    if len(set(layer.strides)) > 1:
        return "its strides differ"
    if layer.padding == "causal":
        return "a depthwise convolution cannot be causal"
    if multiplier * (math.prod(window) + outputs) >= math.prod(window) * outputs:
        return "it would compute no less"
    return ""


def fit(model: keras.Model, chosen: Sequence[Separable], inputs: Any, context: Context) -> None:
    """Fit separable convolutions one after another, each to inputs as those before it make them."""
    places = {id(one.layer): one for one in chosen}
    fitted: set[Separable] = set()

    def call(op: Any, *args: Any, **kwargs: Any) -> Any:
        one = places.get(id(op))
        if one is None:
            return op(*args, **kwargs)
        if one in fitted:  # a shared layer, at its next use
            return one.mixed(one.before(args[0]))
        fitted.add(one)
        context.progress(chosen.index(one) / len(chosen), f"fitting {one.path}")
        return one.fit(args[0])

    walked(model, inputs, call)
