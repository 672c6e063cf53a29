"""What LiteRT's Python packages refuse of .tflite files or answer wrongly, as running shows."""

from __future__ import annotations

from edgeshrink.api import Reader
from edgeshrink.tflite import Refusal

INTEGERS = ("int2", "int4", "int8", "uint8", "int16")
FLOAT = ("float32",)

BOTH = (
    Refusal("look-up tables, which TensorFlow Lite Micro alone runs", ("TFLM_DECODE",)),
    Refusal("operators that it does not have", ("!TFLM_DECODE",), custom=True),
    Refusal("integer weights stored sparsely", weights=INTEGERS, sparse=True),
    # It takes the file, and answers wrongly: it looks for a scale of each channel.
    Refusal(
        "integer weights of one scale beside float activations",
        ("DEPTHWISE_CONV_2D",),
        data=FLOAT,
        weights=("int8",),
        by_channel=False,
    ),
)
LITERT = Reader("litert", "LiteRT 2.3", BOTH)
TFLITE_RUNTIME = Reader(
    "tflite-runtime",
    "tflite-runtime 2.14",
    (
        *BOTH,
        Refusal("versions above 11", ("FULLY_CONNECTED",), newest=11),
        Refusal("versions above 5", ("DEQUANTIZE",), newest=5),
        Refusal("weights of 2 bits", weights=("int2",)),
        Refusal(
            "weights of 4 bits and a scale for each output",
            ("FULLY_CONNECTED",),
            weights=("int4",),
            by_channel=True,
        ),
        # It takes these two, and answers infinity or zero.
        Refusal(
            "weights of 4 bits beside float activations",
            ("CONV_2D",),
            data=FLOAT,
            weights=("int4",),
        ),
        Refusal(
            "a scale for each output beside float activations",
            ("FULLY_CONNECTED",),
            data=FLOAT,
            weights=("int8",),
            by_channel=True,
        ),
        Refusal(
            "integer weights beside float activations",
            ("TRANSPOSE_CONV",),
            data=FLOAT,
            weights=("int8",),
        ),
    ),
)
