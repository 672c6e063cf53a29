"""Run a whole set of samples through a model one by one, without numpy."""

import time

from .numbers import header, of_dtype, read_header, size_of, to_real, to_stored, unpack
from .result import JobError, progress, sha256


class Samples:
    """The samples of one input, read one after another.

    Args:
        path: a .npy file.
        tensor: the input, as the host described it.
    """

    def __init__(self, path, tensor):
        self.tensor = tensor
        self.stream = open(path, "rb")
        self.dtype, shape = read_header(self.stream)
        self.count, self.elements = shape[0], 1
        for n in shape[1:]:
            self.elements *= n
        wanted = size_of(tensor) // of_dtype(tensor["dtype"]).size
        if self.elements != wanted:
            raise JobError(
                "this runtime cannot change the shape of %r: it takes %d numbers, not %d"
                % (tensor["name"], wanted, self.elements)
            )
        self.same = self.dtype == tensor["dtype"] and not tensor["scale"]

    def next(self):
        """Return the next sample as the bytes that the input takes."""
        size = self.elements * of_dtype(self.dtype).size
        data = self.stream.read(size)
        if len(data) != size:
            raise JobError("the samples of %r end too early" % self.tensor["name"])
        return data if self.same else to_stored(unpack(data, self.dtype), self.dtype, self.tensor)


def predict(job, backend):
    """Run all samples and write their outputs as float32."""
    started = time.perf_counter()
    path = job["models"][0]["path"]
    model = dict(job, path=path)
    loaded = backend.load(dict(job, threads=job["workers"] or 1), model)
    inputs = [Samples(tensor["path"], tensor) for tensor in job["inputs"]]
    outputs = [open(tensor["path"], "wb") for tensor in job["outputs"]]
    count = inputs[0].count
    try:
        for stream, tensor in zip(outputs, job["outputs"]):
            shape = tensor["shape"]
            row = shape[1:] if shape[:1] == [1] else shape
            stream.write(header([count] + [max(1, n) for n in row]))
        for index in range(count):
            for number, samples in enumerate(inputs):
                loaded.write(number, samples.next())
            if loaded.reset is not None:
                loaded.reset()
            loaded.run()
            for number, (stream, tensor) in enumerate(zip(outputs, job["outputs"])):
                stream.write(to_real(loaded.read(number, size_of(tensor)), tensor))
            if index % 20 == 0 or index == count - 1:
                progress((index + 1) / count, "predicting")
    finally:
        for stream in (*outputs, *(samples.stream for samples in inputs)):
            stream.close()
    return {
        "seconds": time.perf_counter() - started,
        "count": count,
        "how": "one by one",
        "note": "%s runs one sample at a time" % backend.name,
        "checked": 0,
        "workers": 1,
        "adapter": loaded.adapter,
        "model_sha256": sha256(path),
        "outputs": [sha256(tensor["path"]) for tensor in job["outputs"]],
    }
