"""OpenVINO as a back end of the runner; shipped to the device, with nothing else of the plugin.

Needs openvino and numpy. OpenVINO computes in bf16 of itself where a processor has it, so that the
precision is always asked for, and what it says to compute in is compared with that.
"""

from __future__ import annotations

import re
import time
from typing import Any

LONGEST = 300
_PATTERNS = (
    (
        r"tensor->name\(\) != nullptr|tensor has no 'name' field",
        "the file's tensors have no names, which OpenVINO needs: --strip-names short adds some",
    ),
    (r"i4/u4", "OpenVINO does not read convolutions with weights of 4 bits"),
    (
        r"working with operation of type (\w+)",
        "OpenVINO does not read the operator {0} as it is in the file",
    ),
    (
        r"No translator found for (?:operation )?'?(\w+)|Unsupported operation[^:]*: *'?(\w+)",
        "OpenVINO has no operator {0}",
    ),
)


class Runtime:
    """OpenVINO and one of its devices.

    Args:
        accelerator: `cpu`, `gpu` or `npu`.
        settings: `precision`, as the profile says it.

    Raises:
        ImportError: openvino is not installed.
        ValueError: it has no such device; the message says which it has.
    """

    name = "OpenVINO"

    def __init__(self, accelerator: str, settings: dict[str, str]) -> None:
        import openvino  # first: what it needs comes with it
        import numpy  # isort: skip

        self.precision, self.device = settings["precision"], accelerator.upper()
        self.version, self.numpy = openvino.__version__.split("-")[0], numpy.__version__
        self.core = openvino.Core()
        known = {name: self._title(name) for name in self.core.available_devices}
        found = next((name for name in known if name.split(".")[0] == self.device), "")
        if not found:
            has = ", ".join(f"{name} ({title})" for name, title in known.items()) or "none at all"
            raise ValueError(f"OpenVINO has no {self.device} on this machine; it has {has}")
        self.adapter = "" if self.device == "CPU" else known[found]

    def _title(self, device: str) -> str:
        return str(self.core.get_property(device, "FULL_DEVICE_NAME")).strip()

    def load(self, path: str, threads: int, inputs: list[Any], outputs: list[Any]) -> Loaded:
        """Return a model compiled for the device.

        Args:
            path: a .tflite file.
            threads: on a processor.
            inputs: with `label`, `dtype` and `shape` of each tensor.
            outputs: likewise.

        Raises:
            ValueError: OpenVINO refuses the model; the message is a sentence.
        """
        started = time.perf_counter_ns()
        asked = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": self.precision}
        if self.device == "CPU":
            # Threads stay where the system puts them, as those of other runtimes do.
            asked |= {"INFERENCE_NUM_THREADS": str(threads), "ENABLE_CPU_PINNING": "NO"}
        try:
            model = self.core.compile_model(self.core.read_model(path), self.device, asked)
        except RuntimeError as error:
            raise ValueError(explain(str(error))) from None
        return Loaded(model, self, inputs, outputs, started)


class Loaded:
    """A compiled model, and the tensors that it reads and writes.

    Attributes:
        load_ns: how long reading and compiling took, in nanoseconds.
        kernels: what runs, and what it computes in where the file is not quantized.
    """

    def __init__(
        self, model: Any, runtime: Runtime, inputs: list[Any], outputs: list[Any], started: int
    ) -> None:
        self.request = model.create_infer_request()
        self.load_ns = time.perf_counter_ns() - started
        told = model.get_property("INFERENCE_PRECISION_HINT").get_type_name()
        if told != runtime.precision:
            raise ValueError(
                f"OpenVINO computes in {told} on this {runtime.device}, and "
                f"{runtime.precision} was asked for"
            )
        self.kernels = f"OpenVINO's in {told}"
        self.inputs = [self._tensor(model.inputs, one) for one in inputs]
        self.outputs = [self._tensor(model.outputs, one) for one in outputs]
        self.reset = self.request.reset_state

    def _tensor(self, ports: Any, wanted: Any) -> Any:
        """Return the tensor of the port that has the name of the file's tensor."""
        found = [port for port in ports if wanted["label"] in port.get_names()]
        if len(found) != 1:
            raise ValueError(f"OpenVINO has {len(found)} tensors {wanted['label']!r}, not one")
        tensor = self.request.get_tensor(found[0])
        if str(tensor.data.dtype) != wanted["dtype"]:
            raise ValueError(
                f"OpenVINO has {wanted['label']!r} in {tensor.data.dtype}, and the file in "
                f"{wanted['dtype']}"
            )
        return tensor

    def run(self) -> None:
        """Run the model once, and wait for its outputs."""
        self.request.infer(share_outputs=True)

    def write(self, number: int, data: bytes) -> None:
        """Put one sample's bytes into an input."""
        import numpy as np

        values = self.inputs[number].data
        values[...] = np.frombuffer(data, values.dtype).reshape(values.shape)

    def read(self, number: int) -> bytes:
        """Return the bytes of an output of the last run."""
        return bytes(self.outputs[number].data.tobytes())


def explain(error: str) -> str:
    r"""Return OpenVINO's words, which take several lines, as a sentence.

    Example:
        >>> explain("Check failed at x.cpp:1:\nTranspose for i4/u4 dtype is supported only for 3")
        'OpenVINO does not read convolutions with weights of 4 bits'
    """
    for pattern, sentence in _PATTERNS:
        if found := re.search(pattern, error):
            return sentence.format(*filter(None, found.groups()))
    lines = [" ".join(line.split()) for line in error.splitlines() if line.strip()]
    return f"OpenVINO refuses the model: {(lines or ['it does not say why'])[-1][:LONGEST]}"
