"""What converters of chips refuse of .tflite files, as running them shows."""

from __future__ import annotations

from edgeshrink.api import Reader
from edgeshrink.tflite import Refusal

FLOAT = ("float32",)

# What they refuse.
FUSED = Refusal("fused recurrent layers", ("UNIDIRECTIONAL_SEQUENCE_LSTM",))
UNNAMED = Refusal("tensors without names", named=False)
# What most were not given. Shapes and axes are whole numbers too, of 32 bits.
OTHERS = (
    Refusal("weights of 4 or 2 bits", weights=("int2", "int4")),
    Refusal("weights of 16 bits", weights=("float16",)),
    Refusal("integer weights beside float activations", data=FLOAT, weights=("int8",)),
    Refusal("activations of 16 bits", data=("int16",)),
    Refusal("sparse weights", sparse=True),
    Refusal("operators of one program alone", custom=True),
)
LOOPS = Refusal("loops", looped=True)
ARITHMETIC = Refusal("arithmetic in float", ("!QUANTIZE",), data=FLOAT, weights=FLOAT)

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
RKNN = Reader("rknn", "rknn-toolkit2 2.5.0", (UNNAMED, FUSED), untried=(*OTHERS, LOOPS, ARITHMETIC))
NNCASE = Reader(
    "nncase",
    "nncase 2.11.0",
    (Refusal("arithmetic in integers", data=("int8", "uint8")), FUSED),
    untried=(*OTHERS, LOOPS, UNNAMED),
)
MNN = Reader(
    "mnn",
    "MNN 3.6.1",
    # It takes the file, says that all went well, and answers at chance.
    (Refusal("arithmetic in integers", data=("int8", "uint8")), FUSED),
    untried=(*OTHERS, LOOPS, UNNAMED),
)
TVM = Reader("tvm", "TVM 0.27", (FUSED,), untried=OTHERS)
ONNX = Reader("onnx", "tf2onnx 1.17.0", (UNNAMED, FUSED), untried=(*OTHERS, LOOPS))
