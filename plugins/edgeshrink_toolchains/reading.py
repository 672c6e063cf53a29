"""What converters of chips refuse of .tflite files, as running them shows."""

from __future__ import annotations

from edgeshrink.api import Reader
from edgeshrink.tflite import Refusal

INTEGERS = ("int16", "int8", "uint8")
FEW_BITS = ("int2", "int4")
FUSED = Refusal("fused recurrent layers", ("UNIDIRECTIONAL_SEQUENCE_LSTM",))
UNNAMED = Refusal("tensors without names", named=False)

OPENVINO = Reader(
    "openvino",
    "OpenVINO 2026.4.1",
    (
        UNNAMED,
        FUSED,
        Refusal("operators that it does not have", custom=True),
        Refusal("weights of 2 bits", weights=("int2",)),
        Refusal("weights of 4 bits", ("!FULLY_CONNECTED",), weights=("int4",)),
    ),
)
