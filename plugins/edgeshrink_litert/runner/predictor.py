"""Run a whole set of samples through a model in batches, on all cores.

Samples are mapped and outputs written as they come, so memory holds a batch for each
core. Batches are used where they give what the untouched file gives, one sample at a time.
"""

import hashlib
import time
from concurrent.futures import ThreadPoolExecutor

from .interpreter import to_real, to_stored
from .machine import cores
from .outputs import Output
from .result import first_line, progress, sha256

# Measured on seven nets: time for a sample falls until about 8 to 16 samples are together and
# rises again, slowly, when the largest tensor of a batch leaves a core's own cache.
BATCH_BYTES = 1 << 20
SMALL_BATCH, LARGEST_BATCH = 8, 256
# A batch that is larger than that for the sake of `SMALL_BATCH` stays below this.
MOST_BATCH_BYTES = 64 << 20
# Batched outputs are compared with one-by-one outputs for one sample in 40, at most 1,000.
CHECKED_SHARE, MOST_CHECKED, FEWEST_CHECKED = 40, 1000, 50
# Of float outputs, relative to the largest output of the sample. Integers must be equal.
TOLERANCE = 1e-5


class Batch:
    """An interpreter for a fixed number of samples at once.

    Args:
        backend: makes interpreters.
        job: names the tensors of inputs and outputs, and whether runs leave state behind.
        content: the file's bytes.
        shapes: of one sample of each input.
        size: how many samples.
    """

    def __init__(self, backend, job, content, shapes, size):
        self.size, self.stateful = size, job["stateful"]
        self.interpreter = backend.create(job, content)
        tensors = [entry["tensor"] for entry in job["inputs"]]
        current = {d["index"]: list(d["shape"]) for d in self.interpreter.get_input_details()}
        for tensor, shape in zip(tensors, shapes):
            if current[tensor] != [size, *shape]:
                self.interpreter.resize_tensor_input(tensor, [size, *shape])
        self.interpreter.allocate_tensors()
        details = {d["index"]: d for d in self.interpreter.get_input_details()}
        self.inputs = [details[tensor] for tensor in tensors]
        details = {d["index"]: d for d in self.interpreter.get_output_details()}
        self.outputs = [details[entry["tensor"]] for entry in job["outputs"]]

    def run(self, arrays, start, stop):
        """Return the real outputs of samples `start` to `stop`; a short batch is padded."""
        import numpy as np

        if self.stateful:
            self.interpreter.reset_all_variables()
        for values, detail in zip(arrays, self.inputs):
            stored = to_stored(values[start:stop], detail)
            missing = self.size - len(stored)
            if missing:
                stored = np.concatenate([stored, np.repeat(stored[-1:], missing, axis=0)])
            self.interpreter.set_tensor(detail["index"], stored)
        self.interpreter.invoke()
        return [to_real(self.interpreter.get_tensor(d["index"]), d) for d in self.outputs]


class Work:
    """One model, its samples, and the arrays that its outputs go to.

    Args:
        backend: makes interpreters.
        job: as the host wrote it.
        content: the file's bytes.
    """

    def __init__(self, backend, job, content):
        import numpy as np

        self.backend, self.job, self.content = backend, job, content
        paths = [entry["path"] for entry in job["inputs"]]
        self.arrays = [np.load(p, mmap_mode="r", allow_pickle=False) for p in paths]
        self.shapes = [list(a.shape[1:]) for a in self.arrays]
        self.samples = len(self.arrays[0])
        self.single = self.batch(content, 1)
        example = self.single.run(self.arrays, 0, 1)
        # An output that does not begin with the batch (a scalar, say) is kept whole.
        self.rows = [e.shape[1:] if e.ndim and len(e) == 1 else e.shape for e in example]
        self.outputs = [
            Output(o["path"], self.samples, row) for o, row in zip(job["outputs"], self.rows)
        ]
        self.exact = [np.dtype(d["dtype"]).kind in "iu" for d in self.single.outputs]
        patched = bytearray(content)
        for offset, value in job["patches"] or ():
            patched[offset : offset + 4] = value.to_bytes(4, "little", signed=True)
        self.patched = bytes(patched)

    def batch(self, content, size):
        """Return an interpreter for so many samples at once."""
        return Batch(self.backend, self.job, content, self.shapes, size)

    def own_single(self, first):
        """Return an interpreter for one sample that no other worker uses."""
        return self.single if first == 0 else self.batch(self.content, 1)

    def one_by_one(self, first, last):
        """Fill a part of the outputs from the untouched file."""
        own = self.own_single(first)
        for index in range(first, last):
            values = own.run(self.arrays, index, index + 1)
            for output, value, row in zip(self.outputs, values, self.rows):
                output.write(index, value.reshape((1, *row)))
            if first == 0 and index % 100 == 0:
                progress(index / last, "predicting")

    def in_batches(self, first, last, largest, checks):
        """Fill a part of the outputs in batches.

        Returns:
            How many samples were run again by the untouched file, and how many differed.
        """
        import numpy as np

        rounds = -(-(last - first) // largest)
        size = -(-(last - first) // rounds)
        batched = self.batch(self.patched, size)
        for start in range(first, last, size):
            stop = min(start + size, last)
            for output, values in zip(self.outputs, batched.run(self.arrays, start, stop)):
                if values.shape[:1] != (size,):
                    raise ValueError("an output does not begin with the batch")
                output.write(start, values[: stop - start])
            if first == 0:
                progress(stop / last, "predicting")
        own, differing = self.own_single(first), 0
        checked = np.linspace(first, last - 1, min(checks, last - first), dtype=int)
        for index in checked:
            values = own.run(self.arrays, index, index + 1)
            found = zip(self.outputs, values, self.exact)
            differing += any(differs(o.read(index), v[0], exact) for o, v, exact in found)
        return len(checked), differing


def differs(batched, single, exact):
    """Tell whether a sample's outputs are not those of the untouched file."""
    import numpy as np

    if exact or not np.isfinite(single).all():
        return not np.array_equal(batched, single, equal_nan=True)
    largest = np.abs(single).max(initial=0.0)
    return bool(np.abs(batched - single).max(initial=0.0) > TOLERANCE * largest)


def batch_size(activation_bytes):
    """Return how many samples go together when the largest tensor of one takes so many bytes."""
    small = min(SMALL_BATCH, MOST_BATCH_BYTES // activation_bytes)
    return min(LARGEST_BATCH, max(small, BATCH_BYTES // activation_bytes))


def predict(job, backend):
    """Run all samples: in batches if that gives the same outputs, on as many cores as allowed."""
    started = time.perf_counter()
    with open(job["models"][0]["path"], "rb") as stream:
        work = Work(backend, job, stream.read())
    # Threads do as well as processes: the runtime lets go of Python's lock while it runs.
    workers = max(1, min(job["workers"] or cores(), cores(), work.samples // 8))
    bounds = [work.samples * n // workers for n in range(workers + 1)]
    parts = [(bounds[n], bounds[n + 1]) for n in range(workers)]
    largest = min(batch_size(max(1, job["activation_bytes"])), work.samples // workers)
    wanted = min(MOST_CHECKED, max(FEWEST_CHECKED, work.samples // CHECKED_SHARE))
    checks = -(-wanted // workers)
    how, note, checked = "one by one", job["why_single"], 0
    with ThreadPoolExecutor(workers) as pool:
        if job["patches"] is not None and largest > 1:
            try:
                tasks = [pool.submit(work.in_batches, *p, largest, checks) for p in parts]
                found = [task.result() for task in tasks]
                checked, differing = (sum(f[n] for f in found) for n in (0, 1))
                if differing:
                    note = f"batches changed {differing} of {checked} checked samples"
                else:
                    how = f"batches of up to {largest}"
            except (RuntimeError, ValueError) as error:
                note = f"batches failed: {first_line(error)}"
        if how == "one by one":
            for task in [pool.submit(work.one_by_one, *p) for p in parts]:
                task.result()
    for output in work.outputs:
        output.close()
    return {
        "seconds": time.perf_counter() - started,
        "count": work.samples,
        "how": how,
        "note": note,
        "checked": checked,
        "workers": workers,
        "model_sha256": hashlib.sha256(work.content).hexdigest(),
        "outputs": [sha256(o["path"]) for o in job["outputs"]],
    }
