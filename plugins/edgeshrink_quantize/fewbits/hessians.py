"""What a layer's inputs say of its weights: the Hessian of the squared error of its outputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

from edgeshrink_quantize.fewbits.channels import ChannelKernel

BATCH = 32


def hessian(
    model: keras.Model, kernel: ChannelKernel, samples: Mapping[str, np.ndarray]
) -> np.ndarray | None:
    """Return the sum of the outer products of what a channel's weights are multiplied with.

    Args:
        model: run on the samples, with the weights that it has now.
        kernel: one of its kernels.
        samples: `(samples, ...)` for each input.

    Returns:
        float64 `(weights, weights)`, in the order of `ChannelKernel.columns`, or None for kinds
        of layers whose channels do not share their inputs (depthwise, grouped, transposed).
    """
    if not _shares_inputs(kernel.layer):
        return None
    # in the structure that the model was built with: Keras warns of any other
    names = keras.tree.map_structure(lambda t: t.name, getattr(model, "_functional", model).input)
    total = 0.0
    with _recorded(kernel.layer) as seen:
        for start in range(0, len(next(iter(samples.values()))), BATCH):
            batch = {name: values[start : start + BATCH] for name, values in samples.items()}
            model(keras.tree.map_structure(batch.get, names), training=False)
            for inputs in seen:
                rows = _rows(kernel.layer, inputs)
                total = total + (rows.T @ rows).astype("float64")
            seen.clear()
    return np.asarray(total)


def _shares_inputs(layer: keras.Layer) -> bool:
    if isinstance(layer, keras.layers.Dense):
        return True
    return (
        type(layer) in (keras.layers.Conv1D, keras.layers.Conv2D)
        and layer.groups == 1
        and layer.data_format == "channels_last"
    )


@contextmanager
def _recorded(layer: keras.Layer) -> Iterator[list[Any]]:
    """Give a list that fills with the layer's inputs while the model runs."""
    seen: list[Any] = []
    call = layer.call

    def recording(inputs: Any, *args: Any, **options: Any) -> Any:
        seen.append(inputs)
        return call(inputs, *args, **options)

    layer.call = recording
    try:
        yield seen
    finally:
        del layer.call


def _rows(layer: keras.Layer, inputs: Any) -> np.ndarray:
    """Return the inputs of each output element, `(elements, weights)`."""
    if isinstance(layer, keras.layers.Dense):
        return np.asarray(inputs).reshape(-1, inputs.shape[-1])
    size, strides, dilation = layer.kernel_size, layer.strides, layer.dilation_rate
    padding = layer.padding
    if padding == "causal":
        inputs = keras.ops.pad(inputs, [[0, 0], [dilation[0] * (size[0] - 1), 0], [0, 0]])
        padding = "valid"
    if len(size) == 1:
        inputs = inputs[:, None]
        size, strides, dilation = (1, *size), (1, *strides), (1, *dilation)
    patches = keras.ops.image.extract_patches(
        inputs, size, strides=strides, dilation_rate=dilation, padding=padding
    )
    return np.asarray(patches).reshape(-1, patches.shape[-1])
