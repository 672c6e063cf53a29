"""Which tensor of a .tflite is which tensor of its Keras model, told by their values."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import keras
import numpy as np

from edgeshrink.nn.conversion.converter_process import Conversion
from edgeshrink.nn.conversion.keras_to_tflite import convert
from edgeshrink.nn.learning import observed_values
from edgeshrink.tflite import activation_values

FEW = 4  # samples by whose values tensors are told apart
CLOSE = 1e-3  # of a tensor's range: float kernels differ in the last bits


def matched_ranges(
    calibrated: bytes,
    model: keras.Model,
    ends: Mapping[str, np.ndarray],
    samples: Mapping[str, np.ndarray],
) -> dict[int, tuple[float, float]]:
    """Return the range of each tensor of a float .tflite that has the values of a model's tensor.

    Names and order shift in conversion, values do not: both run on the same samples.

    Args:
        calibrated: the bytes of a float .tflite of `model`.
        model: from `folded`.
        ends: least and greatest value of tensors, `(2,)`, by name as `calibrated_ranges` gives it.
        samples: `(samples, ...)` for each input; the first 4 are used.

    Returns:
        The least and greatest value by the tensor's index in the first subgraph, as `with_ranges`
        takes them; tensors that are not found are left out.
    """
    found = _found(calibrated, _few_values(model, samples), samples)
    return {
        index: (float(ends[name][0]), float(ends[name][1]))
        for index, name in found.items()
        if name in ends
    }


def written_out(
    model: keras.Model,
    ends: Mapping[str, np.ndarray],
    samples: Mapping[str, np.ndarray],
    folder: Path,
    log: Path | None = None,
) -> dict[str, np.ndarray]:
    """Return those of a model's ranges whose tensors its .tflite has, and will round.

    The converter folds more into a kernel than can be told from the layers, such as a Rescaling in
    front of one.

    Args:
        model: from `folded`.
        ends: least and greatest value of tensors, `(2,)` by name, from `calibrated_ranges`.
        samples: `(samples, ...)` for each input; the first 4 are used.
        folder: for files on the way.
        log: file that gets what the converter prints.

    Returns:
        A part of `ends`. Tensors of one value on these samples cannot be told, and stay.

    Raises:
        ConversionError: the converter refused the model.
        OSError: a file cannot be written.
    """
    made = convert(model, {"float": Conversion()}, folder, log=log)["float"]
    values = _few_values(model, samples)
    there = set(_found(made, values, samples).values())
    return {
        name: end
        for name, end in ends.items()
        if name in there or name not in values or np.ptp(values[name]) == 0
    }


def _few_values(model: keras.Model, samples: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return observed_values(model, {name: values[:FEW] for name, values in samples.items()})


def _found(
    file: bytes, wanted: Mapping[str, np.ndarray], samples: Mapping[str, np.ndarray]
) -> dict[int, str]:
    """Return the names of a file's tensors that have the values wanted, by their index in it."""
    few = {name: values[:FEW] for name, values in samples.items()}
    count = len(next(iter(few.values())))
    there: dict[int, list[np.ndarray]] = {}
    for values in activation_values(file, few):
        for index, value in values.items():
            there.setdefault(index, []).append(value.ravel())
    found = {}
    for name, value in wanted.items():
        flat = value.reshape(count, -1)
        spread = float(flat.max() - flat.min())
        for index, parts in there.items():
            if parts[0].size == flat.shape[1] and spread:
                apart = np.abs(np.stack(parts) - flat).max()
                if apart <= CLOSE * spread:
                    found[index] = name
    return found
