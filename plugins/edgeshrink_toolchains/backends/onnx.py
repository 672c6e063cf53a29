"""tf2onnx as a back end of LiteRT's runner, with onnxruntime to run what it makes.

Needs tf2onnx, tensorflow (which tf2onnx imports for .tflite files too), onnxruntime and numpy.
"""

from __future__ import annotations

import time
from typing import Any

LONGEST = 300


class Runtime:
    """tf2onnx's converter, and onnxruntime on this processor.

    Args:
        accelerator: `cpu`; there is no other.
        settings: none.

    Raises:
        ImportError: one of the packages is not installed.
    """

    name = "tf2onnx"

    def __init__(self, accelerator: str, settings: dict[str, Any]) -> None:
        import numpy
        import onnxruntime
        import tf2onnx

        self.version = f"{tf2onnx.__version__} and onnxruntime {onnxruntime.__version__}"
        self.numpy, self.adapter = numpy.__version__, ""

    def load(self, path: str, threads: int, inputs: list[Any], outputs: list[Any]) -> Loaded:
        """Return a file, converted.

        Args:
            path: a .tflite file.
            threads: on this processor.
            inputs: with `label`, `dtype` and `shape` of each tensor.
            outputs: likewise.

        Raises:
            ValueError: one of both refuses the file; the message is a sentence.
        """
        import onnxruntime
        import tf2onnx

        started = time.perf_counter_ns()
        try:
            made, _ = tf2onnx.convert.from_tflite(path)
        except Exception as error:  # it raises whatever it meets
            raise ValueError("tf2onnx refuses the file: " + sentence(error)) from None
        asked = onnxruntime.SessionOptions()
        asked.intra_op_num_threads = threads
        try:
            session = onnxruntime.InferenceSession(
                made.SerializeToString(), asked, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # its errors have no class in common
            raise ValueError("onnxruntime refuses what came of it: " + sentence(error)) from None
        return Loaded(session, inputs, outputs, started)


class Loaded:
    """A converted file, its inputs and outputs by their names in the .tflite.

    Attributes:
        load_ns: how long converting took, in nanoseconds.
        kernels: what runs.
    """

    kernels = "onnxruntime's"

    def __init__(self, session: Any, inputs: list[Any], outputs: list[Any], started: int) -> None:
        import numpy

        self.session, self.wanted = session, outputs
        self.given = {one["label"]: numpy.zeros(one["shape"], one["dtype"]) for one in inputs}
        self.names, self.outputs = list(self.given), list[Any]()
        self.load_ns = time.perf_counter_ns() - started

    def reset(self) -> None:
        """Do nothing: what was converted keeps nothing between runs."""

    def run(self) -> None:
        """Run the file once."""
        self.outputs = self.session.run([one["label"] for one in self.wanted], self.given)

    def write(self, number: int, data: bytes) -> None:
        """Put one sample's bytes into an input."""
        import numpy

        values = self.given[self.names[number]]
        values[...] = numpy.frombuffer(data, values.dtype).reshape(values.shape)

    def read(self, number: int) -> bytes:
        """Return the bytes of an output of the last run."""
        return bytes(self.outputs[number].astype(self.wanted[number]["dtype"]).tobytes())


def sentence(error: Exception) -> str:
    """Return an error as one line."""
    lines = [" ".join(line.split()) for line in str(error).splitlines() if line.strip()]
    return (lines or [type(error).__name__])[-1][:LONGEST]
