"""Make up inputs for a model where there is no data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from edgeshrink.nn.conversion.exporting import packed
from edgeshrink.nn.inputs.comparison import top_class

COMMON_RANGES = ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0), (-3.0, 3.0))


def synthetic_inputs(
    model: keras.Model, folder: Path, *, count: int = 256, seed: int = 0
) -> dict[str, Path]:
    """Write made-up inputs, of the range at which the model tells most things apart.

    Which values a model was trained on (0..1, -1..1, 0..255) is in its file only where it has
    batch norms, whose statistics then choose. Inputs of a wrong range all look alike to a model,
    and any two models agree on them; so without batch norms each common range is tried, and the
    one whose outputs name the most evenly spread classes (or vary most against their size) is
    taken. Samples differ in grain and contrast: noise, blobs and gradients.

    Args:
        model: any Keras model.
        folder: where the .npy files go.
        count: of samples.
        seed: of everything random.

    Returns:
        For each input the file.
    """
    from edgeshrink.nn.inputs.inversion import learned_range  # which makes up its first inputs here

    folder.mkdir(parents=True, exist_ok=True)

    def made(low: float, high: float) -> dict[str, np.ndarray]:
        rng = np.random.default_rng(seed)
        return {t.name: made_up(model, t, low, high, count, rng) for t in model.inputs}

    ends = learned_range(model, seed)
    if ends is None:
        ends = max(COMMON_RANGES, key=lambda each: round(_spread(model, made(*each)), 9))
    files = {}
    for place, (name, values) in enumerate(made(*ends).items()):
        files[name] = folder / f"{place}.npy"
        np.save(files[name], values, allow_pickle=False)
    return files


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


def _spread(model: keras.Model, inputs: Mapping[str, np.ndarray]) -> float:
    """Return how well a model tells these inputs apart: entropy of classes, or variation."""
    outputs = keras.tree.flatten(model.predict_on_batch(packed(model, inputs)))
    total = 0.0
    for values in (np.asarray(o, "float64") for o in outputs):
        if not np.isfinite(values).all():
            return -1.0
        if values.ndim == 2:
            shares = np.unique(top_class(values), return_counts=True)[1] / len(values)
            total += float(-(shares * np.log(shares)).sum())
        total += 0.01 * float(values.std(axis=0).mean() / (np.abs(values).mean() + 1e-9))
    return total
