"""What LiteRT's operators do with weights of few bits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from edgeshrink.tflite import Use


@dataclass(frozen=True, eq=False)
class Takes:
    """What an operator of LiteRT 2.3 does with weights of few bits, as running it shows.

    Attributes:
        data: which input is the activation.
        bias: which input is the bias.
        axis: of the kernel's output channels.
        integer: the operator's version by the bits that it runs beside 8-bit activations.
        hybrid: the same beside float activations, which it quantizes on the fly.
    """

    data: int
    bias: int
    axis: int
    integer: Mapping[int, int]
    hybrid: Mapping[int, int]


# What is not here does not prepare. CONV_2D with 2 bits and float activations does, but takes a
# hundred times as long and answers NaN.
OPERATORS = {
    "CONV_2D": Takes(0, 2, 0, integer={4: 7}, hybrid={4: 5}),
    "DEPTHWISE_CONV_2D": Takes(0, 2, 3, integer={4: 7}, hybrid={}),
    "FULLY_CONNECTED": Takes(0, 2, 0, integer={2: 12, 4: 10}, hybrid={2: 12, 4: 12}),
    "TRANSPOSE_CONV": Takes(2, 3, 0, integer={}, hybrid={}),
}
DEQUANTIZE_VERSION = 6  # that takes few bits


def uses(operators: Iterable[str], bits: int, *, integer: bool) -> Iterator[Use]:
    """Yield how a file uses operators whose weights are rounded to so many bits.

    Args:
        operators: their names.
        bits: 4 or 2; what an operator does not run in so few is stored in more, or dequantized.
        integer: whether activations are 8-bit integers.
    """
    data = "int8" if integer else "float32"
    for operator in operators:
        versions = OPERATORS[operator].integer if integer else OPERATORS[operator].hybrid
        held = min((one for one in versions if one >= bits), default=0) if integer else bits
        if held in versions:
            yield Use(operator, versions[held], data, f"int{held}", by_channel=True, result=data)
        elif integer:
            yield Use(operator, data=data, weights="int8", by_channel=True, result=data)
        else:
            yield Use("DEQUANTIZE", DEQUANTIZE_VERSION, weights=f"int{bits}", result=data)
