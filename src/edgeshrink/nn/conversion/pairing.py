"""Which constant of a .tflite is which kernel of its Keras model, told by shape and values."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import keras
import numpy as np

from edgeshrink.nn.learning import kernel_weights
from edgeshrink.tflite import FlatModel, FlatTensor, constant_values, read_model

# Keras keeps the kernels of several gates side by side, which files may hold one by one: four of
# LSTM and ConvLSTM, three of GRU.
GATES = (1, 4, 3)
# So many values must agree, beyond those that scales were fitted to, for two to be the same.
EVIDENCE = 8
SLACK = 0.02  # of a value, for floats of 16 bits and scales that were fitted to rounded values

# What holds a kernel: a tensor, or several, one behind the other along their first axis.
Constant = tuple[FlatTensor, ...]


@dataclass(frozen=True)
class Pair:
    """A kernel, or a gate of one, and what it became.

    Attributes:
        path: of the kernel's variable.
        kernel: its values, axes in the order of the file.
        stored: what the file has in its place, of the same shape, as numbers.
        codes: the same, as stored; 16-bit floats as 32-bit ones.
        tensors: that hold it, one after another, each with scales of its own: a fused LSTM's gates.
    """

    path: str
    kernel: np.ndarray
    stored: np.ndarray
    codes: np.ndarray
    tensors: int = 1

    @property
    def by_tensor(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The values and codes of each tensor, flat."""
        yield from zip(
            np.split(self.kernel.reshape(-1), self.tensors),
            np.split(self.codes.reshape(-1), self.tensors),
            strict=True,
        )


def pairs(model: keras.Model, data: bytes) -> Iterator[Pair]:
    """Yield each kernel of a model with the constant that has its values.

    Axes may be in another order, or joined. Stored values may be rounded, and scaled by output
    and input channel, as by a batch norm that was folded. Only where the kernel is not zero they
    are compared: so what has its values is found whether it kept its zeros or not. Of several such
    constants that with the fewest other values is taken. A kernel that has no counterpart, since
    it was folded away, merged, or is too small or empty to tell, is left out.

    Args:
        model: what was converted.
        data: the bytes of the .tflite.
    """
    by_size: dict[int, list[Constant]] = defaultdict(list)
    for constant in _constants(read_model(data)):
        by_size[sum(tensor.elements for tensor in constant)].append(constant)
    for variable in kernel_weights(model):
        kernel = np.asarray(keras.ops.convert_to_numpy(variable))
        for gates in GATES:
            if kernel.shape[-1] % gates:
                continue
            parts = np.split(kernel, gates, axis=-1)
            found = [_counterpart(variable.path, part, by_size, data) for part in parts]
            told = [pair for pair in found if pair is not None]
            if told:
                yield from told
                break


def _counterpart(
    path: str, kernel: np.ndarray, by_size: Mapping[int, Sequence[Constant]], data: bytes
) -> Pair | None:
    found: list[Pair] = []
    for constant in by_size.get(kernel.size, ()):
        parts = [_sortable(constant_values(data, tensor)) for tensor in constant]
        numbers = [_numbers(part, tensor) for part, tensor in zip(parts, constant, strict=True)]
        codes = np.concatenate(parts)
        stored, step = (np.concatenate(each) for each in zip(*numbers, strict=True))
        for order in _orders(kernel.shape, codes.shape):
            turned = np.transpose(kernel, order)
            shape = turned.shape
            held, steps = stored.reshape(shape), step.reshape(shape)
            corner = np.ix_(*(np.linspace(0, n - 1, min(n, 12)).astype(int) for n in shape))
            if _agree(turned[corner], held[corner], steps[corner], order) is False:
                continue  # most are told by a few of their values
            if _agree(turned, held, steps, order):
                found.append(Pair(path, turned, held, codes.reshape(shape), len(constant)))
    return min(found, key=_strays, default=None)


def _sortable(codes: np.ndarray) -> np.ndarray:
    """Return codes as a type that NumPy sorts rightly, and so counts rightly.

    On processors with AVX-512, NumPy 2.0 to 2.4 sorts 16-bit floats wrongly where some are negative
    and many are the same.
    """
    return codes.astype(np.float32) if codes.dtype == np.float16 else codes


def _constants(flat: FlatModel) -> Iterator[Constant]:
    """Yield the weights of a file; the four gates of a fused LSTM's kernel as one."""
    for tensor in flat.tensors:
        if _is_weight(tensor):
            yield (tensor,)
    for operator in flat.operators:
        if operator.name == "UNIDIRECTIONAL_SEQUENCE_LSTM":
            # Inputs 1 to 4 are the kernels of input, forget, cell and output; 5 to 8 recurrent.
            weights = [flat.tensor(operator.subgraph, index) for index in operator.inputs[1:9]]
            for gates in (tuple(weights[:4]), tuple(weights[4:])):
                if all(map(_is_weight, gates)):
                    yield gates


def _is_weight(tensor: FlatTensor) -> bool:
    wide = len(tensor.shape) >= 2 and not tensor.sparse
    return tensor.constant and wide and tensor.nonzeros is not None


def _strays(pair: Pair) -> int:
    """Return how many values are no zeros where the kernel's are."""
    return int(np.count_nonzero(pair.stored[pair.kernel == 0]))


def _numbers(codes: np.ndarray, tensor: FlatTensor) -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers that codes stand for, and the step between two of them; 0 for floats."""
    values = codes.astype(np.float32)
    if not tensor.scales:
        return values, np.zeros_like(values)
    shape = [1] * values.ndim
    if len(tensor.scales) > 1:
        shape[tensor.axis] = -1
    step = np.reshape(np.asarray(tensor.scales, np.float32), shape)
    zero = np.reshape(np.asarray(tensor.zero_points, np.float32), shape)
    return (values - zero) * step, np.broadcast_to(step, values.shape)


def _orders(kernel: Sequence[int], stored: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Yield the orders of a kernel's axes in which its shape can be that of a constant.

    Example:
        >>> list(_orders((3, 3, 1, 8), (8, 3, 3, 1)))
        [(3, 0, 1, 2), (3, 1, 0, 2)]
    """
    wide = [axis for axis, size in enumerate(kernel) if size > 1]
    flat = tuple(axis for axis, size in enumerate(kernel) if size == 1)
    ends = _ends(stored)
    for order in itertools.permutations(wide):
        own = _ends([kernel[axis] for axis in order])
        if own <= ends or ends <= own:
            yield (*order, *flat)


def _ends(shape: Sequence[int]) -> set[int]:
    """Return after how many values each axis begins again: alike where axes are only joined."""
    return {math.prod(shape[: axis + 1]) for axis in range(len(shape))} | {1}


def _agree(
    kernel: np.ndarray, stored: np.ndarray, step: np.ndarray, order: Sequence[int]
) -> bool | None:
    """Tell whether a constant has a kernel's values wherever those are not zero.

    Scales are fitted to the last axis of the kernel as Keras has it, to the one before it, to both,
    and to each pair of places in them, as a norm behind a depthwise convolution has it.

    Args:
        kernel: axes in the order of the file.
        stored: of the same shape.
        step: between the numbers that can be stored, likewise.
        order: of the kernel's axes.

    Returns:
        None where that cannot be told with some scales, and is not so with the others.
    """
    there = kernel != 0
    telling = int(np.count_nonzero(stored[there]))
    last = len(order)
    out, into = (order.index(last - 1),), (order.index(last - 2),)
    untold = False
    for fitted in ([], [out], [into], [out, into], [(*out, *into)]):
        free = sum(math.prod(kernel.shape[axis] for axis in axes) for axes in fitted)
        if telling - free < EVIDENCE:
            untold = True
            continue
        scaled = kernel
        for axes in fitted * (1 if len(fitted) < 2 else 4):  # one after the other
            scaled = scaled * _scale(scaled, stored, there, axes)
        apart = np.abs(stored - scaled)
        if (apart <= step + SLACK * np.abs(scaled))[there].all():
            return True
    return None if untold else False


def _scale(
    kernel: np.ndarray, stored: np.ndarray, there: np.ndarray, axes: Sequence[int]
) -> np.ndarray:
    """Return the factors along some axes that bring a kernel nearest to what is stored."""
    rest = tuple(axis for axis in range(kernel.ndim) if axis not in axes)
    kernel = kernel.astype("float64")  # the square of a vast weight is no float32
    both = np.where(there, kernel * stored, 0).sum(axis=rest, keepdims=True)
    own = np.square(kernel).sum(axis=rest, keepdims=True)
    found: np.ndarray = np.divide(both, own, out=np.ones_like(both), where=own > 0)
    return found
