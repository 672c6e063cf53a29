"""What converters of chips refuse of .tflite files, as running them shows."""

from __future__ import annotations

from edgeshrink.api import Reader
from edgeshrink.tflite import Refusal

OPENVINO = Reader(
    "openvino",
    "OpenVINO 2026.4.1",
    (
        Refusal("tensors without names", named=False),
        Refusal("operators that it does not have", custom=True),
        Refusal("weights of 2 bits", weights=("int2",)),
        Refusal("weights of 4 bits", ("!FULLY_CONNECTED",), weights=("int4",)),
        Refusal("fused recurrent layers", ("UNIDIRECTIONAL_SEQUENCE_LSTM",)),
    ),
)
