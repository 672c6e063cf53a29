"""What a .tflite file holds, as plain values: tensors, operators, signatures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

# The types of floating-point tensors, as `FlatTensor.dtype` spells them.
FLOATS = frozenset({"float16", "bfloat16", "float32", "float64"})
# Types that hold several values in a byte, with the bits of one.
PACKED_BITS = {"int4": 4, "uint4": 4, "int2": 2}


@dataclass(frozen=True)
class FlatTensor:
    """A tensor of a .tflite file.

    Attributes:
        index: its place among the tensors of its subgraph.
        subgraph: the number of its subgraph, from 0.
        name: as the file has it; empty if it was stripped.
        shape: sizes of its axes, the batch included.
        shape_signature: the same, but -1 for a size that is not fixed.
        dtype: `"float32"`, `"int8"`, `"int4"`, ... as the schema calls it, in lower case.
        bytes: stored bytes of a constant, otherwise 0.
        buffer: which of the file's buffers holds it; tensors may share one.
        constant: whether the file holds its values.
        nonzeros: stored values of a constant that mean another number than zero, or None.
        scales: of its quantization: none, one, or one for each slice along `axis`.
        zero_points: likewise; the integers that stand for zero.
        axis: along which slices have scales of their own.
        variable: whether it keeps its value from one run to the next (recurrent state).
        sparse: whether only some of its values are stored.
    """

    index: int
    subgraph: int
    name: str
    shape: tuple[int, ...]
    shape_signature: tuple[int, ...]
    dtype: str
    bytes: int
    buffer: int
    constant: bool
    nonzeros: int | None
    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    axis: int
    variable: bool
    sparse: bool

    @property
    def elements(self) -> int:
        """How many values it has, a dimension that is not known yet counted as one."""
        return math.prod(max(1, size) for size in self.shape)


@dataclass(frozen=True)
class FlatOperator:
    """An operator of a .tflite file.

    Attributes:
        index: its place among the operators of its subgraph.
        subgraph: the number of its subgraph, from 0.
        name: as the schema calls it, such as `"CONV_2D"`, or the custom operator's own name.
        version: of the operator, as the schema counts them.
        inputs: indices of tensors of its subgraph; -1 where an optional one is left out.
        outputs: likewise.
        macs: multiply-accumulates of one run of its subgraph; 0 for what has no kernel.
        custom: whether it is none of the schema's own operators.
    """

    index: int
    subgraph: int
    name: str
    version: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    macs: int
    custom: bool

    @property
    def flex(self) -> bool:
        """Whether it is an operator of TensorFlow itself, which only TensorFlow can run."""
        return self.custom and self.name.startswith("Flex")


@dataclass(frozen=True)
class FlatSignature:
    """A named way to run the model.

    Attributes:
        key: its name.
        subgraph: the number of the subgraph that it runs.
        inputs: indices of tensors of the subgraph, by the names of arguments.
        outputs: likewise, by the names of results.
    """

    key: str
    subgraph: int
    inputs: dict[str, int]
    outputs: dict[str, int]


@dataclass(frozen=True)
class FlatModel:
    """All that a .tflite file says of itself.

    Attributes:
        size_bytes: of the file.
        description: what the file says of itself, in words.
        subgraphs: how many there are.
        tensors: those of all subgraphs, in order.
        operators: likewise.
        inputs: of the first subgraph.
        outputs: likewise.
        signatures: the named ways to run it.
        runtime_version: the oldest TensorFlow Lite that runs it by the file's own note, which
            goes by versions of operators alone and can be too low; None where there is no note.
        metadata: names of the metadata entries.
    """

    size_bytes: int
    description: str
    subgraphs: int
    tensors: tuple[FlatTensor, ...]
    operators: tuple[FlatOperator, ...]
    inputs: tuple[FlatTensor, ...]
    outputs: tuple[FlatTensor, ...]
    signatures: tuple[FlatSignature, ...]
    runtime_version: str | None
    metadata: tuple[str, ...]

    @cached_property
    def _by_place(self) -> dict[tuple[int, int], FlatTensor]:
        return {(t.subgraph, t.index): t for t in self.tensors}

    def tensor(self, subgraph: int, index: int) -> FlatTensor:
        """Return a tensor by its place.

        Args:
            subgraph: the number of its subgraph.
            index: its place among the tensors there.

        Raises:
            KeyError: there is none.
        """
        return self._by_place[subgraph, index]

    def tensors_of(self, operator: FlatOperator) -> tuple[list[FlatTensor], list[FlatTensor]]:
        """Return an operator's inputs, without those left out, and its outputs.

        Args:
            operator: one of `operators`.
        """
        inputs = [self.tensor(operator.subgraph, i) for i in operator.inputs if i >= 0]
        return inputs, [self.tensor(operator.subgraph, i) for i in operator.outputs if i >= 0]

    def origin(self, tensor: FlatTensor) -> tuple[FlatTensor, FlatOperator | None]:
        """Return the tensor whose values another hands on, and the operator that computes it.

        Reshaping, and the way from integers to floats and back, compute nothing.

        Args:
            tensor: such as one of `outputs`.

        Returns:
            The tensor itself where it is computed; None in place of the operator for an input.
        """
        made = {(o.subgraph, i): o for o in self.operators for i in o.outputs}
        operator = made.get((tensor.subgraph, tensor.index))
        while operator is not None and operator.name in ("DEQUANTIZE", "QUANTIZE", "RESHAPE"):
            if operator.name == "QUANTIZE" and tensor.scales:
                before = self.tensor(operator.subgraph, operator.inputs[0])
                if not before.scales:
                    break
            tensor = self.tensor(operator.subgraph, operator.inputs[0])
            operator = made.get((tensor.subgraph, tensor.index))
        return tensor, operator

    @cached_property
    def weights(self) -> tuple[FlatTensor, ...]:
        """Constants that operators compute with: kernels, biases, tables.

        Numbers are floats or have a scale; constants without (shapes, axes, paddings) are not
        counted, nor are scalars.
        """
        used = {(o.subgraph, i) for o in self.operators for i in o.inputs}
        return tuple(
            t
            for t in self.tensors
            if t.constant
            and t.shape
            and (t.dtype in FLOATS or t.scales)
            and (t.subgraph, t.index) in used
        )

    @property
    def parameters(self) -> int:
        """How many values all weights have, zeros that a sparse file leaves out included."""
        return sum(t.elements for t in self.weights)

    @property
    def nonzeros(self) -> int:
        """How many values of all weights are not zero."""
        return sum(t.nonzeros or 0 for t in self.weights)

    @property
    def weight_bytes(self) -> int:
        """Stored bytes of all weights; a buffer that several share counts once."""
        return sum({t.buffer: t.bytes for t in self.weights}.values())

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one run; the body of a loop counts once."""
        return sum(o.macs for o in self.operators)

    @property
    def stateful(self) -> bool:
        """Whether a run leaves something behind that the next one reads."""
        return any(t.variable for t in self.tensors)


def count_macs(
    name: str, inputs: Sequence[FlatTensor | None], outputs: Sequence[FlatTensor]
) -> int:
    """Return the multiply-accumulates of one run of an operator, 0 for one without a kernel.

    Args:
        name: the schema's name of the operator.
        inputs: its tensors, None where an optional one is left out.
        outputs: its tensors.
    """
    if name in ("CONV_2D", "CONV_3D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"):
        kernel, output = inputs[1], outputs[0]
        if kernel is None:
            return 0
        # What one output element sums up: a kernel without its dimension of output channels,
        # which is the first, or the last in depthwise and three-dimensional convolutions.
        last = name in ("CONV_3D", "DEPTHWISE_CONV_2D")
        summed = kernel.shape[:-1] if last else kernel.shape[1:]
        return output.elements * math.prod(summed)
    if name == "TRANSPOSE_CONV":
        kernel, image = inputs[1], inputs[2]
        if kernel is None or image is None:
            return 0
        # Each input element meets every weight of its channel once.
        return image.elements * math.prod(kernel.shape[:-1])
    if name == "BATCH_MATMUL":
        left = inputs[0]
        return outputs[0].elements * max(1, left.shape[-1]) if left and left.shape else 0
    if name.endswith(("_LSTM", "_RNN")) or name in ("LSTM", "RNN"):
        sequence = inputs[0]
        if sequence is None:
            return 0
        steps = math.prod(max(1, n) for n in sequence.shape[:-1])
        return steps * sum(t.elements for t in inputs if t and t.constant and len(t.shape) == 2)
    return 0
