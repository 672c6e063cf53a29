"""MNN as a back end of LiteRT's runner: its converter, and what it runs on this processor.

Needs MNN and numpy. `MNN.tools.mnnconvert` is not imported: where the package aliyun-log-python-sdk
is missing it installs that with the first pip of PATH, and it reports each conversion to its maker,
with the machine's id. The converter itself is the module `_tools`, which does neither.
"""

from __future__ import annotations

import os
import tempfile
import time
from typing import Any


class Runtime:
    """MNN's converter and interpreter.

    Args:
        accelerator: `cpu`; there is no other.
        settings: none.

    Raises:
        ImportError: it is not installed.
    """

    name = "MNN"

    def __init__(self, accelerator: str, settings: dict[str, Any]) -> None:
        import _tools  # noqa: F401  # the converter
        import MNN
        import numpy

        self.version, self.numpy, self.adapter = MNN.version(), numpy.__version__, ""

    def load(self, path: str, threads: int, inputs: list[Any], outputs: list[Any]) -> Loaded:
        """Return a file, converted.

        Args:
            path: a .tflite file.
            threads: on this processor.
            inputs: with `label`, `dtype` and `shape` of each tensor.
            outputs: likewise.

        Raises:
            ValueError: MNN refuses the file.
        """
        import _tools
        import MNN

        started = time.perf_counter_ns()
        with tempfile.TemporaryDirectory() as folder:
            made = os.path.join(folder, "model.mnn")  # noqa: PTH118
            asked = {"-f": "TFLITE", "--modelFile": path, "--MNNModel": made, "--bizCode": "none"}
            _tools.mnnconvert(["mnnconvert", *(word for pair in asked.items() for word in pair)])
            if not os.path.isfile(made):  # noqa: PTH113
                raise ValueError("MNN converts nothing of the file, and does not say why")
            return Loaded(MNN.Interpreter(made), threads, inputs, outputs, started)


class Loaded:
    """A converted file, and the tensors that it reads and writes.

    Attributes:
        load_ns: how long converting took, in nanoseconds.
        kernels: what runs.
    """

    kernels = "MNN's in f32"

    def __init__(
        self,
        interpreter: Any,
        threads: int,
        inputs: list[Any],
        outputs: list[Any],
        started: int,
    ) -> None:
        self.interpreter, self.wanted = interpreter, (inputs, outputs)
        asked = {"backend": "CPU", "precision": "high", "numThread": threads}
        self.session = interpreter.createSession(asked)
        self.inputs = _in_order(interpreter.getSessionInputAll(self.session), inputs)
        self.outputs = _in_order(interpreter.getSessionOutputAll(self.session), outputs)
        self.load_ns = time.perf_counter_ns() - started

    def reset(self) -> None:
        """Do nothing: what was converted keeps nothing between runs."""

    def run(self) -> None:
        """Run the file once."""
        self.interpreter.runSession(self.session)

    def write(self, number: int, data: bytes) -> None:
        """Put one sample's bytes into an input."""
        import numpy

        wanted = self.wanted[0][number]
        values = numpy.frombuffer(data, wanted["dtype"]).reshape(wanted["shape"])
        self.inputs[number].copyFrom(_tensor(values))

    def read(self, number: int) -> bytes:
        """Return the bytes of an output of the last run."""
        import numpy

        wanted, output = self.wanted[1][number], self.outputs[number]
        held = _tensor(numpy.zeros(wanted["shape"], wanted["dtype"]))
        output.copyToHostTensor(held)
        return bytes(held.getNumpyData().astype(wanted["dtype"]).tobytes())


def _in_order(found: dict[str, Any], wanted: list[Any]) -> list[Any]:
    """Return tensors in the file's order: by their names, or the only one there is.

    Raises:
        ValueError: a tensor of the file is not there under its name.
    """
    if len(found) == len(wanted) == 1:
        return list(found.values())
    lacking = [one["label"] for one in wanted if one["label"] not in found]
    if lacking:
        raise ValueError(f"MNN has no tensor {lacking[0]!r}")
    return [found[one["label"]] for one in wanted]


def _tensor(values: Any) -> Any:
    import MNN
    import numpy

    types = {"float32": MNN.Halide_Type_Float, "int32": MNN.Halide_Type_Int}
    kind = types.get(str(values.dtype))
    if kind is None:
        raise ValueError(f"MNN is handed no inputs or outputs of {values.dtype} here")
    held = numpy.array(values)  # its own: what was read from bytes cannot be written to
    return MNN.Tensor(held.shape, kind, held, MNN.Tensor_DimensionType_Tensorflow)
