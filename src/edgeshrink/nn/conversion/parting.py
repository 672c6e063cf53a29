"""Where a converted file and the model that it was made of part."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from edgeshrink.nn.conversion.matching import written_out
from edgeshrink.nn.graph import structured
from edgeshrink.nn.learning import TrainedTwin, calibrated_ranges
from edgeshrink.tflite import activation_values, read_model


def parting_layer(
    data: bytes,
    twin: TrainedTwin,
    samples: Mapping[str, np.ndarray],
    folder: Path,
    log: Path | None = None,
) -> str:
    """Return the name of the layer at whose output a file and a twin part most.

    Of the file's tensors the one that comes nearest is taken for a tensor of the twin, and how far
    it is from it is the norm of the difference over the norm of the tensor less its mean. The
    layer is that at which this rises most above all layers before it: what follows is only fed
    with its error.

    Args:
        data: the bytes of a .tflite.
        twin: what it has to compute.
        samples: `(samples, ...)` for each input, a few.
        folder: for files on the way.
        log: file that gets what a converter prints.

    Returns:
        The name, or `input:NAME`; empty where no tensor can be compared.

    Raises:
        ModelError: the bytes are no .tflite.
        ConversionError: the converter refused the model.
    """
    wanted = twin.values(structured(twin.model, samples))
    if not twin.rounds:  # a float file has not all of them
        ends = calibrated_ranges(twin.model, samples)
        there = written_out(twin.model, ends, samples, folder, log)
        wanted = {name: values for name, values in wanted.items() if name in there}
    found = _by_size(data, samples)
    rises: dict[str, float] = {}
    worst = 0.0
    for name, values in wanted.items():
        flat = values.reshape(len(values), -1).astype("float64")
        spread = float(np.linalg.norm(flat - flat.mean()))
        alike = found.get(flat.shape[1], [])
        if not spread or not alike:
            continue
        apart = min(float(np.linalg.norm(one - flat)) for one in alike) / spread
        rises[name], worst = apart - worst, max(apart, worst)
    return max(rises, key=lambda name: rises[name], default="")


def _by_size(data: bytes, samples: Mapping[str, np.ndarray]) -> dict[int, list[np.ndarray]]:
    """Return the values of a file's tensors, `(samples, size)`, by their size.

    Left out are those that the file rounds before anything is computed with them.
    """
    rows = list(activation_values(data, samples))
    rounding = (o for o in read_model(data).operators if o.name == "QUANTIZE" and not o.subgraph)
    unrounded = {o.inputs[0] for o in rounding}
    found: dict[int, list[np.ndarray]] = {}
    for index, first in rows[0].items():
        if index in unrounded:
            continue
        stacked = np.stack([row[index].ravel() for row in rows]).astype("float64")
        found.setdefault(first.size, []).append(stacked)
    return found
