"""Which axes of a kernel number the output channels, each of which may have a scale of its own."""

from __future__ import annotations

import keras

_layers = keras.layers
# Axes of output channels by kinds of layer and name of the kernel, as the converter gives scales.
CHANNEL_AXES: dict[tuple[type, ...], dict[str, tuple[int, ...]]] = {
    (_layers.DepthwiseConv1D, _layers.DepthwiseConv2D): {"kernel": (-2, -1)},
    (_layers.SeparableConv1D, _layers.SeparableConv2D): {
        "depthwise_kernel": (-2, -1),
        "pointwise_kernel": (-1,),
    },
    (_layers.Conv1DTranspose, _layers.Conv2DTranspose): {"kernel": (-2,)},
    (_layers.Dense, _layers.Conv1D, _layers.Conv2D): {"kernel": (-1,)},
}
RECURRENT = (_layers.LSTMCell, _layers.GRUCell, _layers.SimpleRNNCell)


def quantized_weights(model: keras.Model) -> dict[str, tuple[keras.Variable, tuple[int, ...]]]:
    """Return the weights that integer runtimes store as integers, by path.

    These are the kernels of dense and recurrent layers and of convolutions in one or two
    dimensions, and the tables of embeddings.

    Args:
        model: any Keras model; nested models and wrappers are opened.

    Returns:
        Each with the axes that number its output channels; no axes where a tensor has one scale.
    """
    found: dict[str, tuple[keras.Variable, tuple[int, ...]]] = {}
    for layer in model._flatten_layers(include_self=False):
        if isinstance(layer, (_layers.Embedding, *RECURRENT)):
            kernels = {v.path: (v, ()) for v in layer.trainable_weights if len(v.shape) >= 2}
            found.update(kernels)
        for kinds, names in CHANNEL_AXES.items():
            if type(layer) in kinds:
                for name, axes in names.items():
                    variable = getattr(layer, name)
                    found[variable.path] = variable, axes
    return found
