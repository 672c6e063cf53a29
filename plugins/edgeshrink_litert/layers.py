"""Which Keras layer a row of the profiler's table came from: told where it is certain, only there.

A row is first matched with an operator of the file, by kind and order, then the operator with a
layer, by the names that the converter gave its tensors (or that were kept when it was stripped).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edgeshrink.api import OperatorTime
from edgeshrink_litert import scopes

if TYPE_CHECKING:
    from edgeshrink.tflite import FlatModel, FlatOperator

# What XNNPACK calls an operator: the beginning of its row's name. A 1 x 1 convolution runs as a
# fully connected layer.
KERNELS = {
    "CONV_2D": ("Convolution", "Fully Connected"),
    "DEPTHWISE_CONV_2D": ("Convolution",),
    "FULLY_CONNECTED": ("Fully Connected",),
    "TRANSPOSE_CONV": ("Deconvolution",),
    "BATCH_MATMUL": ("Batch Matrix Multiply",),
    "AVERAGE_POOL_2D": ("Average Pooling", "Global Average Pooling"),
    "MAX_POOL_2D": ("Max Pooling",),
    "MEAN": ("Mean", "Global Average Pooling"),
    "SUM": ("Sum", "Global Sum Pooling"),
    "ADD": ("Add",),
    "SUB": ("Subtract",),
    "MUL": ("Multiply",),
    "DIV": ("Divide",),
    "CONCATENATION": ("Concatenate",),
    "SOFTMAX": ("Softmax",),
    "TANH": ("TanH",),
    "LOGISTIC": ("Sigmoid",),
    "HARD_SWISH": ("HardSwish",),
    "GELU": ("GELU",),
    "PRELU": ("PReLU",),
    "ELU": ("ELU",),
    "LEAKY_RELU": ("Leaky ReLU",),
    "RESIZE_BILINEAR": ("Resize Bilinear",),
}
DEPTHWISE = "DWConv"
# Operators that may have a row, several or none: XNNPACK adds and leaves out such steps.
STEPS = {"RESHAPE", "SQUEEZE", "EXPAND_DIMS", "QUANTIZE", "DEQUANTIZE", "PAD", "PADV2"}
STEPS |= {"TRANSPOSE", "CAST", "RELU", "RELU6", "RELU_N1_TO_1", "RELU_0_TO_1"}
STEP_ROWS = re.compile(
    r"(Static Reshape|Reshape|Convert|Constant Pad|Transpose|Clamp|Copy|Static Expand Dims)\b"
)
# Layers that take most of the time, together at least this share.
MOST = 0.7
# The profiler counts whole microseconds: shares of fewer than these say nothing.
FEWEST_MILLISECONDS = 0.02


def of_rows(rows: Sequence[OperatorTime], path: Path) -> list[str]:
    """Return a layer's name for each row of the profiler's table, empty where it is not certain.

    Args:
        rows: kernels, in the order of the run.
        path: a .tflite file; beside it may lie the names that it lost when it was stripped.
    """
    from edgeshrink.tflite import read_model

    model = read_model(path.read_bytes())
    found = [""] * len(rows)
    # A row that is called twice in a run stands for two operators.
    once = all(row.calls == 1 for row in rows)
    operators = aligned([row.name for row in rows], model) if once else None
    if operators is None:
        return found
    layers = scopes.layers(model, path)
    for row, operator in operators.items():
        found[row] = layers.get(operator.index, "")
    return found


def aligned(rows: Sequence[str], model: FlatModel) -> dict[int, FlatOperator] | None:
    """Return the operator of each row, or None where they do not match one to one.

    Rows and operators that are mere steps in between are left out.

    Args:
        rows: names of kernels, in the order of the run.
        model: the file that was run.
    """
    if model.subgraphs > 1:
        return None
    operators = [o for o in model.operators if o.name not in STEPS]
    places = [n for n, row in enumerate(rows) if not STEP_ROWS.match(row) and row not in STEPS]
    if len(operators) != len(places):
        return None
    pairs = dict(zip(places, operators, strict=True))
    fits = all(_fits(rows[place], operator.name) for place, operator in pairs.items())
    return pairs if fits else None


def _fits(row: str, operator: str) -> bool:
    """Tell whether a row may be of an operator; without XNNPACK it has the operator's name."""
    if row == operator:
        return True
    depthwise = (DEPTHWISE in row) == (operator == "DEPTHWISE_CONV_2D")
    names = KERNELS.get(operator, ())
    return depthwise and any(re.match(rf"{re.escape(name)}\b", row) for name in names)


def notes(times: Iterable[OperatorTime]) -> list[str]:
    """Return in a sentence which layers take most of the time, if that is known.

    Example:
        >>> times = [("conv2d", 0.5), ("dense", 0.3), ("conv2d", 0.1), ("", 0.1)]
        >>> notes(OperatorTime("kernel", 1.0, share, layer=layer) for layer, share in times)
        ['these 2 layers are 90 % of the time: conv2d, dense']
    """
    shares: dict[str, float] = {}
    times = list(times)
    if sum(time.milliseconds for time in times) < FEWEST_MILLISECONDS:
        return []
    for time in times:
        if time.layer:
            shares[time.layer] = shares.get(time.layer, 0.0) + time.share
    largest = sorted(shares, key=lambda name: -shares[name])
    total = 0.0
    for number, name in enumerate(largest, 1):
        total += shares[name]
        if total >= MOST:
            said = "this layer is" if number == 1 else f"these {number} layers are"
            return [f"{said} {100 * total:.0f} % of the time: {', '.join(largest[:number])}"]
    return []
