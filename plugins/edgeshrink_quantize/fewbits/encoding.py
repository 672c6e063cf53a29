"""Store the weights of a .tflite that lie on a grid of few bits in tensors of 4 or 2 bits.

TensorFlow's converter writes nothing below 8 bits, and its codes of 8 bits show the grid that
the weights were rounded to. So the file is made with 8 bits, whose ranges of activations and
fallbacks stay what they are, and then each kernel on a grid is stored by the codes of that grid.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from edgeshrink.tflite import IDENTIFIER
from edgeshrink_quantize.fewbits.grids import codes, steps
from edgeshrink_quantize.fewbits.operators import DEQUANTIZE_VERSION, OPERATORS, Takes

# How far a code of 8 bits may lie beside the grid that it was rounded from.
HALF_A_CODE = 0.501
TYPES = {2: schema.TensorType.INT2, 4: schema.TensorType.INT4}
BUILTINS = {v: k for k, v in vars(schema.BuiltinOperator).items() if isinstance(v, int)}
KERNEL = 1  # which input of all operators below is the kernel
# What a DEQUANTIZE and its output add to a file, so that for smaller kernels it is not worth it.
DEQUANTIZE_BYTES = 200


OLDEST_RUNTIME = b"min_runtime_version"


def narrowed(data: bytes) -> bytes:
    """Return a .tflite with every kernel that lies on a grid of few bits stored in as few.

    With 8-bit activations a kernel takes the least type that its operator runs; with float
    activations what its operator does not run is stored behind a DEQUANTIZE, which LiteRT
    computes once. What lies on no grid stays as it is. Each channel gets the step of its own
    grid, and a bias in integers the scale that goes with it.

    Args:
        data: a .tflite with weights in float or, by tensor or channel, in 8 bits.
    """
    model = schema.ModelT.InitFromPackedBuf(data)
    changed = False
    for graph in model.subgraphs:
        readers: dict[int, list[Any]] = defaultdict(list)
        for operator in graph.operators or []:
            for index in {*map(int, operator.inputs)}:
                readers[index].append(operator)
        for index in range(len(graph.tensors)):
            kernel = _kernel(model, graph, index, readers)
            if kernel is not None:
                changed = kernel.narrow() or changed
    if changed:  # the converter's note on runtimes is of the file as it was
        model.metadata = [one for one in model.metadata or [] if one.name != OLDEST_RUNTIME]
    used = {tensor.buffer for graph in model.subgraphs for tensor in graph.tensors}
    used |= {entry.buffer for entry in model.metadata or []}
    for place, buffer in enumerate(model.buffers):
        if place not in used:
            buffer.data = None
    builder = flatbuffers.Builder(len(data))
    builder.Finish(model.Pack(builder), IDENTIFIER)
    return bytes(builder.Output())


def _kernel(model: Any, graph: Any, index: int, readers: Mapping[int, list[Any]]) -> _Kernel | None:
    """Return a tensor as a kernel that could be narrowed, or None if it is none."""
    tensor, operators = graph.tensors[index], readers[index]
    stored = model.buffers[tensor.buffer].data
    if stored is None or not len(stored) or not operators:
        return None
    takes = {OPERATORS.get(_name(model, operator)) for operator in operators}
    alike = takes.pop()
    if takes or alike is None or any(int(o.inputs[KERNEL]) != index for o in operators):
        return None
    activations = {graph.tensors[o.inputs[alike.data]].type for o in operators}
    biases = {int(b) for o in operators for b in o.inputs[alike.bias : alike.bias + 1] if b >= 0}
    if any(reader not in operators for bias in biases for reader in readers[bias]):
        return None
    if activations == {schema.TensorType.FLOAT32}:
        return _Kernel(model, graph, tensor, index, operators, alike, biases, integer=False)
    if activations == {schema.TensorType.INT8}:
        return _Kernel(model, graph, tensor, index, operators, alike, biases, integer=True)
    return None


@dataclass
class _Kernel:
    model: Any
    graph: Any
    tensor: Any
    index: int
    operators: list[Any]
    takes: Takes
    biases: Iterable[int]
    integer: bool

    def narrow(self) -> bool:
        """Store the kernel in fewer bits, if it is on a grid that a type of its operator holds.

        Returns:
            Whether it is.
        """
        columns, scale = self._columns()
        if columns is None:
            return False
        beside = None if scale is None else HALF_A_CODE * scale
        versions = self.takes.integer if self.integer else self.takes.hybrid
        for bits in TYPES:
            step = steps(columns, bits, beside)
            if np.isnan(step).any():
                continue
            held = bits if not self.integer else min((b for b in versions if b >= bits), default=0)
            saved = len(self.model.buffers[self.tensor.buffer].data) - columns.size * bits // 8
            if held and (held in versions or saved > DEQUANTIZE_BYTES):
                self._store(columns, step, bits, held)
                if held in versions:
                    self._set_versions(versions[held])
                else:
                    self._dequantize()
                if self.integer and scale is not None:
                    self._rescale_biases(np.broadcast_to(scale, self._channels()), step)
                return True
            return False
        return False

    def _columns(self) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Return the weights by column (one column if they share a scale), and the scales."""
        stored = self.model.buffers[self.tensor.buffer].data
        if self.tensor.type == schema.TensorType.FLOAT32 and not self.integer:
            values, scale = stored.view("<f4"), None
        elif self.tensor.type == schema.TensorType.INT8:
            values, scale = stored.view("int8"), self.tensor.quantization.scale.astype("float64")
        else:
            return None, None
        moved = np.moveaxis(values.reshape(self.tensor.shape), self.takes.axis, -1)
        columns = moved.reshape(-1, 1 if scale is not None and len(scale) == 1 else moved.shape[-1])
        return (columns if scale is None else columns * scale), scale

    def _channels(self) -> int:
        return int(self.tensor.shape[self.takes.axis])

    def _store(self, columns: np.ndarray, step: np.ndarray, bits: int, held: int) -> None:
        by_channel = codes(columns, step, bits).reshape(-1, self._channels())
        last = [*np.delete(self.tensor.shape, self.takes.axis), self._channels()]
        values = np.moveaxis(by_channel.reshape(last), -1, self.takes.axis)
        self._put(self.tensor, packed(values, held))
        self.tensor.type = TYPES[held]
        self.tensor.quantization = schema.QuantizationParametersT(
            scale=np.broadcast_to(step, self._channels()).astype("float32"),
            zeroPoint=np.zeros(self._channels(), "int64"),
            quantizedDimension=self.takes.axis,
        )

    def _rescale_biases(self, scale: np.ndarray, step: np.ndarray) -> None:
        """Give biases the scale of input times kernel that the operator expects."""
        ratio = step / scale
        for index in self.biases:
            bias = self.graph.tensors[index]
            values = self.model.buffers[bias.buffer].data.view("<i4")
            self._put(bias, np.round(values / ratio).astype("<i4").view("uint8"))
            quantization = bias.quantization
            quantization.scale = (quantization.scale * ratio).astype("float32")
            quantization.zeroPoint = np.zeros(len(quantization.scale), "int64")

    def _put(self, tensor: Any, content: np.ndarray) -> None:
        """Give a tensor a buffer of its own: what it had may be another's too."""
        self.model.buffers.append(schema.BufferT(data=content))
        tensor.buffer = len(self.model.buffers) - 1

    def _set_versions(self, version: int) -> None:
        for operator in self.operators:
            code = self.model.operatorCodes[operator.opcodeIndex]
            number = max(code.builtinCode, code.deprecatedBuiltinCode)
            operator.opcodeIndex = _code(self.model, number, max(version, code.version))
            if not self.integer and hasattr(operator.builtinOptions, "asymmetricQuantizeInputs"):
                operator.builtinOptions.asymmetricQuantizeInputs = True

    def _dequantize(self) -> None:
        """Let the operators read the kernel through a DEQUANTIZE."""
        tensors, operators = self.graph.tensors, self.graph.operators
        tensors.append(
            schema.TensorT(
                shape=self.tensor.shape,
                type=schema.TensorType.FLOAT32,
                name=(self.tensor.name or b"") + b"_float",
            )
        )
        number = schema.BuiltinOperator.DEQUANTIZE
        step = schema.OperatorT(
            opcodeIndex=_code(self.model, number, DEQUANTIZE_VERSION),
            inputs=np.array([self.index], np.int32),
            outputs=np.array([len(tensors) - 1], np.int32),
        )
        operators.insert(min(map(operators.index, self.operators)), step)
        for operator in self.operators:
            operator.inputs = np.where(
                operator.inputs == self.index, len(tensors) - 1, operator.inputs
            )


def packed(values: np.ndarray, bits: int) -> np.ndarray:
    """Return int8 codes as bytes, the first code in the lowest bits."""
    each = 8 // bits
    flat = values.ravel().view("uint8") & (2**bits - 1)
    rows = np.concatenate([flat, np.zeros(-len(flat) % each, "uint8")]).reshape(-1, each)
    return np.bitwise_or.reduce(rows << np.arange(0, 8, bits, dtype="uint8"), axis=1)


def _name(model: Any, operator: Any) -> str:
    code = model.operatorCodes[operator.opcodeIndex]
    return BUILTINS[max(code.builtinCode, code.deprecatedBuiltinCode)]


def _code(model: Any, number: int, version: int) -> int:
    """Return the place of an operator code, which is added where there is none."""
    for place, code in enumerate(model.operatorCodes):
        if max(code.builtinCode, code.deprecatedBuiltinCode) == number and code.version == version:
            return place
    model.operatorCodes.append(
        schema.OperatorCodeT(
            deprecatedBuiltinCode=min(number, 127), builtinCode=number, version=version
        )
    )
    return len(model.operatorCodes) - 1
