"""The operators of a .tflite file as XNNPACK sees them when it asks whether to skip zeros."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgeshrink.tflite.flat_model import FLOATS, FlatModel, FlatOperator, FlatTensor
from edgeshrink.tflite.reader import constant_values

if TYPE_CHECKING:
    import numpy as np

UNARY = {"ABS", "CEIL", "COS", "ELU", "EXP", "FLOOR", "GELU", "HARD_SWISH", "LEAKY_RELU", "LOG"}
UNARY |= {"LOGISTIC", "NEG", "RELU", "RELU6", "RELU_0_TO_1", "RELU_N1_TO_1", "ROUND", "RSQRT"}
UNARY |= {"SIN", "SQRT", "SQUARE", "TANH"}
UNPACKING = ("DENSIFY", "DEQUANTIZE")
SAME = 0  # of the schema's `Padding`


@dataclass
class Node:
    """An operator as XNNPACK sees it: padding joined to the convolution, weights unpacked.

    Attributes:
        reads: tensors that are computed.
        refused: why it cannot be laid out by channels; empty if it can.
        entry: it takes its input as it comes; others need it laid out by channels.
        exit: its output may leave the part.
    """

    operator: FlatOperator
    layer: str
    reads: tuple[int, ...]
    weights: FlatTensor | None
    refused: str = ""
    entry: bool = False
    exit: bool = False

    @property
    def inner(self) -> bool:
        """Whether it needs what it reads laid out by channels."""
        return not self.refused and not self.entry

    @property
    def pointwise(self) -> bool:
        """Whether it is a 1 x 1 convolution."""
        shape = self.weights.shape if self.weights is not None else ()
        return self.operator.name == "CONV_2D" and shape[1:3] == (1, 1)

    @property
    def said(self) -> str:
        """Why it is refused, with its layer."""
        return f"{self.layer} ({self.operator.name}) {self.refused}"


def nodes_of(data: bytes, flat: FlatModel) -> list[Node]:
    """Return the first subgraph's operators as XNNPACK sees them."""
    from ai_edge_litert import schema_py_generated as schema

    own = [operator for operator in flat.operators if operator.subgraph == 0]
    unpacked: dict[int, int] = {}  # what a constant is unpacked to, and what is stored
    for operator in own:
        source = unpacked.get(operator.inputs[0], operator.inputs[0]) if operator.inputs else -1
        if operator.name in UNPACKING and flat.tensor(0, source).constant:
            unpacked[operator.outputs[0]] = source
    left = [operator for operator in own if operator.outputs[0] not in unpacked]
    readers: dict[int, list[str]] = {}
    for operator in left:
        for tensor in operator.inputs:
            readers.setdefault(tensor, []).append(operator.name)
    joined = {
        operator.outputs[0]: operator
        for operator in left
        if operator.name == "PAD"
        and readers.get(operator.outputs[0]) in (["CONV_2D"], ["DEPTHWISE_CONV_2D"])
    }
    options = schema.ModelT.InitFromPackedBuf(data).subgraphs[0].operators
    nodes = []
    for operator in left:
        if operator.outputs[0] in joined:
            continue
        pad = joined.get(operator.inputs[0]) if operator.inputs else None
        read_from = (*(pad.inputs[:1] if pad else operator.inputs[:1]), *operator.inputs[1:])
        tensors = [flat.tensor(0, unpacked.get(i, i)) for i in read_from if i >= 0]
        constants = [tensor for tensor in tensors[1:] if tensor.constant]
        node = Node(
            operator,
            _layer(flat.tensor(0, operator.outputs[0]).name),
            tuple(tensor.index for tensor in tensors if not tensor.constant),
            constants[0] if constants else None,
        )
        padding = constant_values(data, flat.tensor(0, pad.inputs[1])) if pad else None
        written = flat.tensor(0, operator.outputs[0])
        _judge(node, tensors, written, options[operator.index].builtinOptions, padding)
        nodes.append(node)
    return nodes


def _layer(name: str) -> str:
    """Return the layer's name in that of a tensor, `net_1/relu_1/Relu;net_1/conv_1/convolution`."""
    *_, scope, _ = ("", *name.rsplit(";", 1)[-1].split("/"))
    return re.sub(r"_\d+$", "", scope) or name


def _judge(
    node: Node,
    tensors: list[FlatTensor],
    written: FlatTensor,
    options: Any,
    padding: np.ndarray | None,
) -> None:
    """Find out whether, and how, an operator can be laid out by channels."""
    name, first = node.operator.name, tensors[0]
    if any(t.dtype not in FLOATS for t in (first, written)):
        node.refused = "does not compute in floats"
    elif name == "CONV_2D":
        node.refused = _convolution(node, first, options, padding)
    elif name == "DEPTHWISE_CONV_2D":
        node.refused = _depthwise(node, first, written, options, padding)
    elif name in ("ADD", "MUL") and all(len(t.shape) == 4 for t in tensors):
        wide = [sum(size != 1 for size in t.shape) > 1 for t in tensors]
        # Of a constant that comes second, it looks at the first input's shape.
        if wide[0] and any(t.constant for t in tensors):
            node.refused = "has a constant operand"
    elif name == "DEPTH_TO_SPACE" or (name == "MEAN" and len(first.shape) == 4):
        node.exit = True
    elif not (name in UNARY or name == "RESIZE_BILINEAR") or len(first.shape) != 4:
        node.refused = "is not laid out by channels"


def _convolution(node: Node, first: FlatTensor, options: Any, padding: np.ndarray | None) -> str:
    """Return what is wrong with a convolution; one with a 3 x 3 kernel is an entry."""
    if node.weights is None:
        return "has no constant kernel"
    _, *size, inputs = node.weights.shape
    strides = [options.strideH, options.strideW]
    if inputs != first.shape[-1] or {options.dilationHFactor, options.dilationWFactor} != {1}:
        return "has groups or is dilated"
    if size == [1, 1]:
        if strides != [1, 1] or padding is not None:
            return "is a 1x1 convolution with a stride or padding"
        return ""
    if size != [3, 3] or strides != [2, 2] or inputs != 3:
        return "is neither 1x1 nor the first one, 3x3 with stride 2 on 3 channels"
    node.entry = True
    return _evenly(1, options, padding)


def _depthwise(
    node: Node,
    first: FlatTensor,
    written: FlatTensor,
    options: Any,
    padding: np.ndarray | None,
) -> str:
    """Return what is wrong with a depthwise convolution."""
    if node.weights is None:
        return "has no constant kernel"
    size, strides = node.weights.shape[1:3], (options.strideH, options.strideW)
    if {options.dilationHFactor, options.dilationWFactor} != {1}:
        return "is dilated"
    if first.shape[-1] != written.shape[-1]:
        return "has more than one output of each channel"
    if size not in ((3, 3), (5, 5)) or strides not in ((1, 1), (2, 2)):
        return "is neither 3x3 nor 5x5 with a stride of 1 or 2"
    if strides == (1, 1) and options.padding == SAME and padding is None:
        return ""  # all sides alike
    return _evenly(size[0] // 2, options, padding)


def _evenly(wanted: int, options: Any, padding: np.ndarray | None) -> str:
    """Return what is wrong with the padding of a 4-D input, as `(4, 2)` where it is explicit."""
    sides = [[0, 0], [wanted, wanted], [wanted, wanted], [0, 0]]
    if options.padding != SAME and padding is not None and padding.tolist() == sides:
        return ""
    return (
        f"must be padded by {wanted} on every side: ZeroPadding2D({wanted}) before it, and "
        "padding='valid'"
    )
