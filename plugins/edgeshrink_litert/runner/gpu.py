"""LiteRT's CompiledModel on a GPU: never on the processor instead."""

import re
import time

from .bare import fill, places
from .errors import captured
from .numbers import of_dtype, size_of
from .result import JobError, first_line

# What the runtime says on standard error, and nowhere else.
SELECTED = re.compile(r"Selected adapter: (.+)")
REASON = re.compile(r"No adapters found|Failed to initialize \w+ environment: .*|not supported.*")


class Gpu:
    """The package ai-edge-litert with an accelerator for GPUs."""

    name, batches = "ai-edge-litert", False

    def __init__(self):
        try:
            import ai_edge_litert
            import numpy
            from ai_edge_litert import compiled_model
        except (ImportError, AttributeError, OSError) as error:
            raise JobError("no GPU that LiteRT can use: %s" % first_line(error)) from None
        self.compiled_model = compiled_model
        self.version = str(getattr(ai_edge_litert, "__version__", ""))
        self.numpy = numpy.__version__

    def load(self, job, model):
        """Return a model on the GPU whose inputs are filled."""
        return OnGpu(self.compiled_model, model)


class OnGpu:
    """A model compiled for the GPU, and buffers for its first signature.

    Attributes:
        adapter: the GPU, as its driver names it.
    """

    reset = None

    def __init__(self, runtime, model):
        if model["stateful"]:
            raise JobError("a model that keeps state between runs is not run on a GPU")
        started = time.perf_counter_ns()
        with captured() as said:
            try:
                self.model = runtime.CompiledModel.from_file(
                    model["path"], hardware_accel=runtime.HardwareAccelerator.GPU
                )
            except RuntimeError as error:
                failure = error
            else:
                failure = None
        text = "".join(said)
        if failure is not None:
            reason = REASON.search(text)
            why = reason.group(0) if reason else first_line(failure)
            raise JobError("no GPU that LiteRT can use: %s" % why)
        self.load_ns = time.perf_counter_ns() - started
        selected = SELECTED.search(text)
        self.adapter = selected.group(1).strip() if selected else ""
        if not self.model.is_fully_accelerated():
            raise JobError("the GPU cannot run all of the model's operators")
        self._connect(model)

    def _connect(self, model):
        """Make the buffers, in the order in which the host described the tensors."""
        import numpy as np

        signature = self.model.get_signature_by_index(0)
        self.inputs = self.model.create_input_buffers(0)
        self.outputs = self.model.create_output_buffers(0)
        self.places = [places(model[kind], list(signature[kind])) for kind in ("inputs", "outputs")]
        self.input_dtypes = [np.dtype(t["dtype"]) for t in model["inputs"]]
        self.output_dtypes = [np.dtype(t["dtype"]) for t in model["outputs"]]
        self.counts = [size_of(t) // of_dtype(t["dtype"]).size for t in model["outputs"]]
        fill(self, model["inputs"])

    def write(self, number, data):
        """Put one sample's bytes into an input."""
        import numpy as np

        values = np.frombuffer(data, self.input_dtypes[number])
        self.inputs[self.places[0][number]].write(values)

    def run(self):
        """Run the model once, and wait for its outputs."""
        self.model.run_by_index(0, self.inputs, self.outputs)
        # Work is only handed in by then; to read the outputs waits for its end.
        self.results = [
            self.outputs[self.places[1][n]].read(count, dtype)
            for n, (count, dtype) in enumerate(zip(self.counts, self.output_dtypes))
        ]

    def read(self, number, size):
        """Return the bytes of an output of the last run."""
        return self.results[number].tobytes()[:size]
