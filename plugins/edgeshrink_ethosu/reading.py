"""What Vela refuses of .tflite files, and what it leaves to the processor, as running it shows."""

from __future__ import annotations

from edgeshrink.api import Reader
from edgeshrink.tflite import Refusal

FLOATS = ("float32", "float16")

VELA = Reader(
    "ethosu",
    "Vela 5.2",
    refuses=(
        Refusal("weights of 4 or 2 bits", weights=("int2", "int4")),
        Refusal("operators that it does not have", custom=True),
    ),
    leaves=(
        Refusal("arithmetic in float", data=FLOATS),
        Refusal("conversion to float", results=FLOATS),
        Refusal("arithmetic on plain numbers", data=("bool", "int32", "int64")),
    ),
)
