"""A back end of another plugin, whose module `backend` was packed beside this one."""

from .bare import fill
from .result import JobError, first_line


class Other:
    """What the module gives, as the runner uses back ends.

    Args:
        job: tells the package's name, the accelerator, and the settings that the module takes.
    """

    batches = False

    def __init__(self, job):
        from . import backend

        try:
            self.runtime = backend.Runtime(job["accelerator"], job["settings"])
        except ImportError as error:
            raise JobError(
                "no runtime: tried %s (%s)" % (job["backend"], first_line(error))
            ) from None
        self.name, self.version = self.runtime.name, self.runtime.version
        self.adapter, self.numpy = self.runtime.adapter, self.runtime.numpy

    def load(self, job, model):
        """Return a model whose inputs are filled."""
        return OtherLoaded(self.runtime, job, model)


class OtherLoaded:
    """A model that the module has loaded, its inputs filled with numbers between 0 and 1."""

    def __init__(self, runtime, job, model):
        inputs, outputs = model["inputs"], model["outputs"]
        self.model = runtime.load(model["path"], job["threads"], inputs, outputs)
        self.load_ns, self.run, self.write = self.model.load_ns, self.model.run, self.model.write
        self.kernels, self.adapter = self.model.kernels, runtime.adapter
        self.reset = self.model.reset if model["stateful"] else None
        fill(self, inputs)

    def read(self, number, size):
        """Return the bytes of an output."""
        data = self.model.read(number)
        if len(data) != size:
            raise JobError("an output has %d bytes here and %d in its file" % (len(data), size))
        return data
