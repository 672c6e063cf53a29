"""Which tensor of a .tflite is which tensor of its Keras model, told by their values."""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np

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
    few = {name: values[:FEW] for name, values in samples.items()}
    wanted = {name: v for name, v in observed_values(model, few).items() if name in ends}
    count = len(next(iter(few.values())))
    there: dict[int, list[np.ndarray]] = {}
    for values in activation_values(calibrated, few):
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
                    found[index] = float(ends[name][0]), float(ends[name][1])
    return found
