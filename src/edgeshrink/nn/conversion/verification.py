"""Whether a converted file kept what the model had: zeros, and shared values."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping

import keras
import numpy as np

from edgeshrink.errors import VerificationError
from edgeshrink.nn.learning import MOST_SHARED_VALUES, kernel_weights
from edgeshrink.tflite import FlatModel, FlatTensor, constant_values, read_model


def check_zeros(model: keras.Model, flat: FlatModel) -> float:
    """Return the sparsity of a converted file's weights, having checked that zeros are kept.

    None of the kernels with zeros may have become denser. The four gates of a fused LSTM are
    counted as the one kernel that they were.

    Raises:
        VerificationError: zeros were lost.
    """
    weights = _weights(flat)
    by_size: dict[int, list[int]] = defaultdict(list)
    for tensor in weights:
        by_size[tensor.elements].append(int(tensor.nonzeros or 0))
    for gates in _gates(flat):
        size = sum(gate.elements for gate in gates)
        by_size[size].append(sum(int(gate.nonzeros or 0) for gate in gates))
    for path, size, nonzeros, now in _beside(model, np.count_nonzero, by_size):
        if nonzeros < size and now > nonzeros:
            raise VerificationError(
                f"zeros must stay zero: {path} had {nonzeros} non-zero weights, "
                f"the converted file has {now} in its place"
            )
    elements = sum(t.elements for t in weights)
    nonzeros = sum(int(t.nonzeros or 0) for t in weights)
    return 1 - nonzeros / elements if elements else 0.0


def check_clusters(model: keras.Model, data: bytes) -> None:
    """Check that no kernel with few distinct values has more in a converted file.

    Args:
        model: what was converted.
        data: the file.

    Raises:
        VerificationError: shared values were lost.
    """
    by_size: dict[int, list[int]] = defaultdict(list)
    for tensor in _weights(read_model(data)):
        by_size[tensor.elements].append(len(np.unique(constant_values(data, tensor))))
    for path, _, distinct, now in _beside(model, lambda values: len(np.unique(values)), by_size):
        if distinct <= MOST_SHARED_VALUES and now > distinct:
            raise VerificationError(
                f"shared values must stay shared: {path} had {distinct} distinct values, the "
                f"converted file has {now} in its place",
                hint="a scale for each channel parts them: leave the granularity at auto",
            )


def _weights(flat: FlatModel) -> list[FlatTensor]:
    return [t for t in flat.tensors if t.constant and len(t.shape) >= 2 and t.nonzeros is not None]


def _beside(
    model: keras.Model,
    count: Callable[[np.ndarray], int],
    by_size: Mapping[int, list[int]],
) -> Iterator[tuple[str, int, int, int]]:
    """Yield each kernel's path, size and count, and the count of what it became in a file.

    Kernels are looked for by their number of elements, since names shift in conversion and
    layouts differ; those of one size are paired in the order of their counts. What is not found
    by its size is left out.

    Args:
        model: what was converted.
        count: of a kernel's values.
        by_size: counts in the file, by number of elements.
    """
    wanted: dict[int, list[tuple[int, str]]] = defaultdict(list)
    for variable in kernel_weights(model):
        values = np.asarray(variable)
        wanted[values.size].append((int(count(values)), variable.path))
    for size, kept in wanted.items():
        found = sorted(by_size.get(size, []))
        if len(found) < len(kept):
            continue  # merged or shared by the converter
        for (had, path), now in zip(sorted(kept), found, strict=False):
            yield path, size, had, now


def _gates(flat: FlatModel) -> Iterator[list[FlatTensor]]:
    """Yield the four tensors that each kernel of a fused LSTM became."""
    for operator in flat.operators:
        if operator.name == "UNIDIRECTIONAL_SEQUENCE_LSTM":
            # Inputs 1 to 4 are the kernels of input, forget, cell and output; 5 to 8 recurrent.
            weights = [flat.tensor(operator.subgraph, index) for index in operator.inputs[1:9]]
            yield weights[:4]
            yield weights[4:]
