"""What TensorFlow Lite Micro refuses of .tflite files, as its Python package shows."""

from __future__ import annotations

from edgeshrink.api import Reader
from edgeshrink.tflite import Refusal

FEW_BITS = ("int2", "int4")

TFLM = Reader(
    "tflm",
    "TensorFlow Lite Micro 0.dev20261023",
    (
        Refusal("operators that it does not have", ("!TFLM_DECODE",), custom=True),
        Refusal("operators that it does not have", ("DENSIFY",)),
        Refusal("floats of 16 bits", ("DEQUANTIZE",), weights=("float16",)),
        Refusal("weights of 4 or 2 bits", ("DEQUANTIZE",), weights=FEW_BITS),
        Refusal(
            "integer weights beside float activations",
            (
                *("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV"),
                "UNIDIRECTIONAL_SEQUENCE_LSTM",  # which it takes, and answers NaN
            ),
            data=("float32",),
            weights=("int8", *FEW_BITS),
        ),
        # It takes them, plans them with sizes of 1, and does not come to an end.
        Refusal("loops whose tensors change their size", looped=True, varying=True),
        Refusal("weights of 2 bits", weights=("int2",)),
        Refusal(
            "weights of 4 bits and a scale for each output",
            ("FULLY_CONNECTED",),
            weights=("int4",),
            by_channel=True,
        ),
    ),
)
