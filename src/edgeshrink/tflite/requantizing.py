"""How far integer kernels scale their sums to what they put out, and ranges that they can reach."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgeshrink.tflite.ranges import Ranges
from edgeshrink.tflite.reader import read_model

# XNNPACK creates no convolution or dense layer whose sums are scaled by this or more; some
# releases then end the process (ai-edge-litert 2.3.0: "double free or corruption").
STEEPEST = 256
KERNELS = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV"})
LEVELS, HALF = 255, 127  # steps between the ends of 8 bits, and from zero to the last one


def too_steep(data: bytes) -> list[str]:
    """Return the names of outputs whose kernels would have to scale their sums too far.

    A kernel's sums count steps of input times weight, and are scaled to steps of the output. Where
    the output is always zero on the samples, as behind a ReLU that never opens, its steps are next
    to nothing.

    Args:
        data: the bytes of a .tflite with 8-bit activations.
    """
    flat = read_model(data)
    found = []
    for operator in flat.operators:
        if operator.name not in KERNELS:
            continue
        given, weights = operator.inputs[-2:] if False else _operands(operator)
        one, kernel = (flat.tensor(operator.subgraph, index) for index in (given, weights))
        made = flat.tensor(operator.subgraph, operator.outputs[0])
        if one.scales and kernel.scales and made.scales and made.dtype in ("int8", "uint8"):
            if one.scales[0] * max(kernel.scales) >= STEEPEST * made.scales[0]:
                found.append(made.name)
    return found
