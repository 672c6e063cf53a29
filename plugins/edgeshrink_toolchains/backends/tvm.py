"""TVM as a back end of LiteRT's runner, in whose process it is alone; needs apache-tvm and tflite.

The file is converted as it is, and compiled for this machine's processor by LLVM.
"""

from __future__ import annotations

import time
from typing import Any

LONGEST = 300


class Runtime:
    """TVM's importer of .tflite files and its virtual machine.

    Args:
        accelerator: `cpu`; there is no other.
        settings: none.

    Raises:
        ImportError: it is not installed, or the package tflite is not, by which it reads files.
    """

    name = "TVM"

    def __init__(self, accelerator: str, settings: dict[str, Any]) -> None:
        import numpy
        import tflite  # noqa: F401  # the importer asks for it by name
        import tvm

        self.version, self.numpy, self.adapter = tvm.__version__, numpy.__version__, ""

    def load(self, path: str, threads: int, inputs: list[Any], outputs: list[Any]) -> Loaded:
        """Return a file, converted and compiled.

        Args:
            path: a .tflite file.
            threads: not used.
            inputs: with `dtype` and `shape` of each tensor.
            outputs: likewise.

        Raises:
            ValueError: TVM refuses the file; the message is a sentence.
        """
        import tflite
        import tvm
        from tvm import relax
        from tvm.relax.frontend.tflite import from_tflite

        started = time.perf_counter_ns()
        try:
            with open(path, "rb") as stream:  # noqa: PTH123
                model = tflite.Model.GetRootAsModel(stream.read(), 0)
            made = tvm.compile(from_tflite(model), target=tvm.target.Target("llvm"))
            machine = relax.VirtualMachine(made, tvm.cpu())
        except Exception as error:  # its importer raises whatever it meets
            raise ValueError("TVM refuses the file: " + sentence(error)) from None
        return Loaded(machine["main"], inputs, outputs, started)


class Loaded:
    """A compiled file, its inputs and outputs in the file's order.

    Attributes:
        load_ns: how long converting and compiling took, in nanoseconds.
        kernels: what runs.
    """

    kernels = "TVM's, compiled by LLVM"

    def __init__(self, main: Any, inputs: list[Any], outputs: list[Any], started: int) -> None:
        import numpy

        self.main, self.wanted = main, outputs
        self.inputs = [numpy.zeros(one["shape"], one["dtype"]) for one in inputs]
        self.outputs: list[Any] = []
        self.load_ns = time.perf_counter_ns() - started

    def reset(self) -> None:
        """Do nothing: what was converted keeps nothing between runs."""

    def run(self) -> None:
        """Run the file once."""
        from tvm.runtime import tensor

        found = self.main(*map(tensor, self.inputs))
        single = hasattr(found, "numpy")
        self.outputs = [one.numpy() for one in ([found] if single else found)]

    def write(self, number: int, data: bytes) -> None:
        """Put one sample's bytes into an input."""
        import numpy

        values = self.inputs[number]
        values[...] = numpy.frombuffer(data, values.dtype).reshape(values.shape)

    def read(self, number: int) -> bytes:
        """Return the bytes of an output of the last run."""
        return bytes(self.outputs[number].astype(self.wanted[number]["dtype"]).tobytes())


def sentence(error: Exception) -> str:
    """Return an error as one line."""
    lines = [" ".join(line.split()) for line in str(error).splitlines() if line.strip()]
    return (lines or [type(error).__name__])[-1][:LONGEST]
