"""What converters of chips refuse of .tflite files, as running them shows."""

from __future__ import annotations

from pathlib import Path

from edgeshrink.api import Backend, Package, Reader
from edgeshrink.tflite import Refusal

BACKENDS = Path(__file__).with_name("backends")
LONGEST_SECONDS = 900.0  # of a file's conversion and its answers

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


def _backend(module: str, package: str, *pinned: str) -> Backend:
    """Return what runs files by a toolchain.

    Args:
        module: its name in `backends`.
        package: whose version tells whether it is installed beside edgeshrink.
        *pinned: what pip installs, in the versions that the module was run with.
    """
    told = Package(package, f"--toolchain {module}", f"pip install {' '.join(pinned)}")
    return Backend(BACKENDS / f"{module}.py", told, seconds=LONGEST_SECONDS)


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
RKNN = Reader(
    "rknn",
    "rknn-toolkit2 2.5.0",
    (UNNAMED, FUSED),
    untried=(*OTHERS, LOOPS),
    backend=_backend("rknn", "rknn-toolkit2", "rknn-toolkit2==2.5.0", "tensorflow==2.14.0"),
)
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
    backend=_backend("mnn", "MNN", "MNN==3.6.1"),
)
TVM = Reader(
    "tvm",
    "TVM 0.27",
    (FUSED,),
    untried=OTHERS,
    backend=_backend("tvm", "apache-tvm", "apache-tvm==0.27.0", "tflite==2.18.0"),
)
ONNX = Reader(
    "onnx",
    "tf2onnx 1.17.0",
    (UNNAMED, FUSED),
    untried=(*OTHERS, LOOPS),
    backend=_backend("onnx", "tf2onnx", "tf2onnx==1.17.0", "tensorflow", "onnxruntime"),
)
