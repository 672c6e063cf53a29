"""Noise for the inputs of a model, of any range."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

# What models are commonly trained on.
COMMON_RANGES = ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0), (-3.0, 3.0))


def made_up(
    model: keras.Model, tensor: Any, low: Any, high: Any, count: int, rng: np.random.Generator
) -> np.ndarray:
    """Return noise, blobs and gradients for one input of a model.

    Args:
        model: says how many integers its embeddings know.
        tensor: the input.
        low: the least value, one or for each channel.
        high: the greatest.
        count: of samples.
        rng: what is drawn from.
    """
    shape = tuple(d or 1 for d in tensor.shape[1:])
    kind = np.dtype(tensor.dtype)
    if kind.kind in "iu":
        return rng.integers(0, _vocabulary(model), (count, *shape)).astype(kind)
    values = rng.random((count, *shape), dtype="float32")
    for sample in values:  # 256 small arrays: coarser grain for most of them
        grain = 2 ** int(rng.integers(0, 4))
        for axis in range(min(2, sample.ndim)):
            if sample.shape[axis] > grain:
                places = np.arange(sample.shape[axis]) // grain * grain
                sample[...] = np.take(sample, places, axis=axis)
    contrast = rng.random((count,) + (1,) * len(shape), dtype="float32")
    centre = rng.random((count,) + (1,) * len(shape), dtype="float32")
    values = np.clip(centre + (values - 0.5) * 2 * contrast, 0, 1)
    return np.asarray(low + values * (high - low), kind)


def _vocabulary(model: keras.Model) -> int:
    """Return how many integers the model's embeddings know."""
    sizes = [
        layer.input_dim
        for layer in model._flatten_layers()
        if isinstance(layer, keras.layers.Embedding)
    ]
    return min(sizes, default=2)
