"""rknn-toolkit2 as a back end of LiteRT's runner: it converts for an RK3588, and simulates the NPU.

Needs rknn-toolkit2 and TensorFlow 2.14 or older, by which it reads .tflite files. Integers of the
file are kept as they are.
"""

from __future__ import annotations

import time
from typing import Any

PLATFORM = "rk3588"


class Runtime:
    """The toolkit and its simulator.

    Args:
        accelerator: not used: the toolkit simulates the NPU.
        settings: none.

    Raises:
        ImportError: the toolkit is not installed, or TensorFlow is not.
    """

    name = "rknn-toolkit2"

    def __init__(self, accelerator: str, settings: dict[str, Any]) -> None:
        import importlib.metadata
        import importlib.util

        import numpy

        for module in ("rknn", "tensorflow"):
            if importlib.util.find_spec(module) is None:
                raise ImportError(f"No module named {module!r}")
        self.version = importlib.metadata.version("rknn-toolkit2")
        self.numpy, self.adapter = numpy.__version__, f"the simulator of an {PLATFORM}"

    def load(self, path: str, threads: int, inputs: list[Any], outputs: list[Any]) -> Loaded:
        """Return a file, converted, in the simulator.

        Args:
            path: a .tflite file.
            threads: not used.
            inputs: with `dtype` and `shape` of each tensor.
            outputs: likewise.

        Raises:
            ValueError: the toolkit refuses the file; it says why on standard error.
        """
        from rknn.api import RKNN

        started, toolkit = time.perf_counter_ns(), RKNN(verbose=False)
        # At 3, its own choice, 96.5 % of ResNet-8's labels in int8 are LiteRT's, so 97.0 %.
        toolkit.config(target_platform=PLATFORM, optimization_level=2)
        for what, done in (
            ("read", lambda: toolkit.load_tflite(model=path)),
            ("convert", lambda: toolkit.build(do_quantization=False)),
            ("simulate", toolkit.init_runtime),
        ):
            if done():
                raise ValueError(f"rknn-toolkit2 does not {what} the file")
        return Loaded(toolkit, inputs, outputs, started)


class Loaded:
    """A converted file in the simulator, its inputs and outputs in the file's order.

    Attributes:
        load_ns: how long converting took, in nanoseconds.
        kernels: what runs.
    """

    kernels = "the simulator's"

    def __init__(self, toolkit: Any, inputs: list[Any], outputs: list[Any], started: int) -> None:
        import numpy

        self.toolkit, self.wanted = toolkit, outputs
        self.inputs = [numpy.zeros(one["shape"], one["dtype"]) for one in inputs]
        self.outputs: list[Any] = []
        self.load_ns = time.perf_counter_ns() - started

    def reset(self) -> None:
        """Do nothing: what was converted keeps nothing between runs."""

    def run(self) -> None:
        """Run the file once."""
        # Channels come last, as in the file; of other ranks there is nothing to say.
        layouts = ["nhwc" if one.ndim == 4 else None for one in self.inputs]
        found = self.toolkit.inference(inputs=self.inputs, data_format=layouts)
        if found is None:
            raise ValueError("rknn-toolkit2 does not run the file")
        self.outputs = list(found)

    def write(self, number: int, data: bytes) -> None:
        """Put one sample's bytes into an input."""
        import numpy

        values = self.inputs[number]
        values[...] = numpy.frombuffer(data, values.dtype).reshape(values.shape)

    def read(self, number: int) -> bytes:
        """Return the bytes of an output of the last run."""
        wanted = self.wanted[number]
        return bytes(
            self.outputs[number].astype(wanted["dtype"]).reshape(wanted["shape"]).tobytes()
        )
