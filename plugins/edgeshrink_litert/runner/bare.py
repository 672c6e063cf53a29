"""LiteRT's C library as a back end, for a Python without numpy."""

import random
import time

from .errors import captured, reasons
from .library import NAME, Compiled, Library, find
from .numbers import of_dtype, size_of, to_stored
from .result import JobError


class Bare:
    """The library alone.

    Args:
        path: where it is; empty to look beside the package on Python's path.
    """

    name, numpy, batches = "LiteRT C library", "", False

    def __init__(self, path=""):
        place, self.version = find(path)
        try:
            self.library = Library(place)
        except OSError as error:
            raise JobError("%s cannot be loaded: %s" % (NAME, error)) from None

    def load(self, job, model):
        """Return a model whose inputs are filled."""
        return Loaded(self.library, job, model)


class Loaded:
    """A compiled model, its inputs filled with numbers between 0 and 1.

    Args:
        library: LiteRT.
        job: tells threads and kernels.
        model: a path and tensors, as the host described them.
        options: further ones, as pairs of an identifier and TOML.
    """

    adapter, reset = "", None

    def __init__(self, library, job, model, options=()):
        if job["kernels"] != "xnnpack":
            raise JobError("LiteRT's C library runs only with XNNPACK")
        if model["stateful"]:
            raise JobError("LiteRT's C library runs no model that keeps state between runs")
        started = time.perf_counter_ns()
        self.compiled = explained(lambda: Compiled(library, model["path"], job["threads"], options))
        self.load_ns = time.perf_counter_ns() - started
        self.inputs = self._checked(model["inputs"], self.compiled.inputs)
        self.outputs = self._checked(model["outputs"], self.compiled.outputs)
        fill(self, model["inputs"])

    @staticmethod
    def _checked(described, ports):
        """Return for each described tensor the place of its port; their sizes must agree."""
        found = places(described, [port.name for port in ports])
        for tensor, place in zip(described, found):
            if ports[place].size < size_of(tensor):
                raise JobError(
                    "the model's %r has another size here than in its file" % tensor["name"]
                )
        return found

    def run(self):
        """Run the model once."""
        try:
            self.compiled.run()
        except JobError:
            explained(self.compiled.run)  # it fails again, and is heard this time

    def write(self, number, data):
        """Put one sample's bytes into an input."""
        self.compiled.write(self.compiled.inputs[self.inputs[number]], data)

    def read(self, number, size):
        """Return the bytes of an output."""
        return self.compiled.read(self.compiled.outputs[self.outputs[number]], size)


def places(described, names):
    """Return for each tensor that the host described its place among the runtime's.

    Raises:
        JobError: they are not the same ones.
    """
    wanted = [tensor["name"] for tensor in described]
    if len(set(names)) == len(names) and sorted(wanted) == sorted(names):
        return [names.index(name) for name in wanted]
    # Without a signature a runtime may make up names; the order is that of the file.
    if len(wanted) == len(names) and not set(wanted) & set(names) - {""}:
        return list(range(len(names)))
    raise JobError("the runtime names the model's inputs and outputs otherwise than its file")


def explained(act):
    """Return what an act returns.

    Raises:
        JobError: it failed; with the reasons that the library wrote to standard error.
    """
    with captured() as said:
        try:
            return act()
        except JobError as error:
            failure = str(error)
    raise JobError(reasons("".join(said)) or failure)


def fill(loaded, inputs):
    """Fill a model's inputs with numbers between 0 and 1, always the same ones."""
    numbers = random.Random(0)
    for number, tensor in enumerate(inputs):
        count = size_of(tensor) // of_dtype(tensor["dtype"]).size
        # A few thousand numbers again and again: to make millions takes seconds without numpy.
        some = [numbers.random() for _ in range(min(count, 4096))]
        repeated = (some * (count // len(some) + 1))[:count] if some else []
        loaded.write(number, to_stored(repeated, "float64", tensor))
