"""Run a Keras model over stored inputs, batch by batch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import keras
import numpy as np

from edgeshrink.nn.graph import output_names, structured

BATCH = 256  # samples at once, at most
VALUES = 1 << 22  # of inputs at once, at most: activations of large images are large


def predict(model: keras.Model, inputs: Mapping[str, Path]) -> dict[str, np.ndarray]:
    """Return the outputs by name, `(samples, ...)` float32, batch by batch.

    Args:
        model: any Keras model.
        inputs: for each input a .npy file of shape `(samples, ...)`.
    """
    arrays = {name: np.load(path, mmap_mode="r") for name, path in inputs.items()}
    names = output_names(model)
    found: dict[str, list[np.ndarray]] = {name: [] for name in names}
    count = len(next(iter(arrays.values())))
    turns = -(-count // samples_at_once(model, VALUES, 1, BATCH))
    size = -(-count // max(1, turns))  # alike where they can be: another size is traced anew
    for start in range(0, count, max(1, size)):
        batch = {name: np.asarray(array[start : start + size]) for name, array in arrays.items()}
        outputs = keras.tree.flatten(model.predict_on_batch(structured(model, batch)))
        for name, values in zip(names, outputs, strict=True):
            found[name].append(np.asarray(values, "float32"))
    return {name: np.concatenate(parts) for name, parts in found.items()}


def samples_at_once(model: keras.Model, values: int, least: int, most: int) -> int:
    """Return how many samples hold some number of input values, between `least` and `most`."""
    each = sum(int(np.prod([d or 1 for d in t.shape[1:]])) for t in model.inputs)
    return int(np.clip(values // max(1, each), least, most))
