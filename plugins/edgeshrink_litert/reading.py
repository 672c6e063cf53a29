"""What LiteRT's Python packages refuse of .tflite files, as running them shows."""

from __future__ import annotations

from edgeshrink.api import Reader
from edgeshrink.tflite import Refusal

INTEGERS = ("int2", "int4", "int8", "uint8", "int16")

CUSTOM = Refusal("operators that it does not have", custom=True)
SPARSE = Refusal("integer weights stored sparsely", weights=INTEGERS, sparse=True)

LITERT = Reader("litert", "LiteRT 2.3", (CUSTOM, SPARSE))
TFLITE_RUNTIME = Reader(
    "tflite-runtime",
    "tflite-runtime 2.14",
    (
        CUSTOM,
        SPARSE,
        Refusal("versions above 11", ("FULLY_CONNECTED",), newest=11),
        Refusal("weights of fewer than 8 bits", weights=("int2", "int4")),
    ),
)
