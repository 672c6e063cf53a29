"""What the makers of chips convert .tflite files with, and what that refuses of them."""

from __future__ import annotations

from edgeshrink.api import Reader, hookimpl


@hookimpl
def edgeshrink_readers() -> list[Reader]:
    """Return what reads files on the way to a chip."""
    from edgeshrink_toolchains.reading import MNN, NNCASE, ONNX, OPENVINO, RKNN, TVM

    return [OPENVINO, RKNN, NNCASE, MNN, TVM, ONNX]
