"""Time each operator of a model through LiteRT's C library; pushed beside runner.py.

The Python interpreter has no profiler; the library that comes in the same package has one, which
also looks into XNNPACK. Its functions change between releases without notice, so only the ones
that this was tried with are called, and always in a process of its own.
"""

from __future__ import annotations

import ctypes
import re
import time
from pathlib import Path

import runner

TRIED = ("2.3.",)
FLOAT32, UINT8, INT8 = 1, 3, 9
CPU = 1
WRITE = 1
# A ranked tensor type is an element type, a rank and flags, then the dimensions.
DIMENSIONS, LARGEST_RANK = 2, 8
LONGEST_SECONDS, MOST_RUNS = 2.0, 200

# `  Delegate/Add (ND)   0.000   0.004   0.004   0.933%   89.399%   0.000   20   [Delegate]:3`
ROW = re.compile(
    r"^\s*(?P<name>\S.*?)\s+[\d.]+\s+[\d.]+\s+(?P<milliseconds>[\d.]+)\s+[\d.]+%\s+[\d.]+%"
    r"\s+[\d.]+\s+(?P<calls>\d+)\s+\[\w+\]:\d+\s*$"
)


class Library:
    """LiteRT's C library; every call that fails is a `JobError`."""

    def __init__(self, path):
        self.functions = ctypes.CDLL(str(path))
        libc = ctypes.CDLL(None)
        self.copy = libc.strdup
        self.copy.restype, self.copy.argtypes = ctypes.c_void_p, [ctypes.c_char_p]
        libc.free.argtypes = [ctypes.c_void_p]
        self.release = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(lambda place: libc.free(place))

    def call(self, name, *arguments):
        """Call a function that answers with a status."""
        try:
            function = getattr(self.functions, f"LiteRt{name}")
        except AttributeError:
            raise runner.JobError("this runtime's library is another than was tried") from None
        function.restype = ctypes.c_int
        status = function(*arguments)
        if status:
            raise runner.JobError(f"the profiler failed in {name} (status {status})")

    def get(self, name, *arguments, kind=ctypes.c_void_p):
        """Call a function that puts its answer behind its last argument."""
        answer = kind()
        self.call(name, *arguments, ctypes.byref(answer))
        return answer

    def option(self, options, identifier, text):
        """Add options that the library reads as TOML, and frees."""
        place = ctypes.c_void_p(self.copy(text))
        self.call(
            "AddOpaqueOptions",
            options,
            self.get("CreateOpaqueOptions", identifier, place, self.release),
        )


class Compiled:
    """A model compiled with the profiler on, and buffers for its first signature."""

    def __init__(self, library, path, threads):
        self.library = library
        self.environment = ctypes.c_void_p()
        library.call("CreateEnvironment", 0, None, ctypes.byref(self.environment))
        model = library.get("CreateModelFromFile", self.environment, str(path).encode())
        options = library.get("CreateOptions")
        library.call("SetOptionsHardwareAccelerators", options, ctypes.c_int(CPU))
        library.option(options, b"xnnpack", b"num_threads = %d\n" % threads)
        library.option(options, b"runtime_options_string", b"enable_profiling = true\n")
        self.model = library.get("CreateCompiledModel", self.environment, model, options)
        self.signature = library.get("GetModelSignature", model, ctypes.c_size_t(0))
        self.inputs, self.outputs = self.buffers("Input"), self.buffers("Output")

    def buffers(self, kind):
        """Return a buffer for each input or output; those of inputs are filled."""
        library, found = self.library, []
        count = library.get(f"GetNumSignature{kind}s", self.signature, kind=ctypes.c_size_t)
        for number in range(count.value):
            index = ctypes.c_size_t(number)
            tensor = library.get(f"GetSignature{kind}TensorByIndex", self.signature, index)
            ranked = (ctypes.c_int32 * 32)()
            library.call("GetRankedTensorType", tensor, ranked)
            rank = ranked[1] & 127
            for place in range(DIMENSIONS, DIMENSIONS + min(rank, LARGEST_RANK)):
                ranked[place] = max(ranked[place], 1)
            needs = library.get(
                f"GetCompiledModel{kind}BufferRequirements",
                self.model,
                ctypes.c_size_t(0),
                index,
            )
            size = library.get("GetTensorBufferRequirementsBufferSize", needs, kind=ctypes.c_size_t)
            buffer = library.get(
                "CreateManagedTensorBufferFromRequirements", self.environment, ranked, needs
            )
            if kind == "Input":
                self.fill(buffer, size.value, ranked[0])
            found.append(buffer)
        return (ctypes.c_void_p * len(found))(*found)

    def fill(self, buffer, size, element):
        """Fill an input with numbers between 0 and 1, any bytes, or zeros where those may harm."""
        import numpy as np

        random, values = np.random.default_rng(0), np.zeros(size, np.uint8)
        if element == FLOAT32:
            values = random.random(size // 4, dtype=np.float32)
        elif element in (UINT8, INT8):
            values = random.integers(0, 256, size, np.uint8)
        place = ctypes.c_void_p()
        self.library.call("LockTensorBuffer", buffer, ctypes.byref(place), ctypes.c_int(WRITE))
        ctypes.memmove(place, values.tobytes(), values.nbytes)
        self.library.call("UnlockTensorBuffer", buffer)

    def run(self):
        """Run the model once."""
        self.library.call(
            "RunCompiledModel",
            self.model,
            ctypes.c_size_t(0),
            ctypes.c_size_t(len(self.inputs)),
            self.inputs,
            ctypes.c_size_t(len(self.outputs)),
            self.outputs,
        )


def parse(summary):
    """Return the rows of the table in the order of the run; times are means of one call."""
    rows = []
    for line in summary.partition("Run Order")[2].partition("Top by Computation")[0].splitlines():
        found = ROW.match(line)
        if found:
            name = found["name"]
            name = name[len("Delegate/") :] if name.startswith("Delegate/") else name
            rows.append({"name": name, "milliseconds": float(found["milliseconds"])})
    return rows


def profile(job):
    """Return the time of each operator of the job's one model."""
    module, _, version = runner.runtime()
    path = Path(module.__file__).with_name("libLiteRt.so")
    if not version.startswith(TRIED) or not path.exists():
        raise runner.JobError("this runtime gives no time by operator")
    if job["delegate"] == "none":
        raise runner.JobError("the profiler runs only with XNNPACK")
    library = Library(path)
    compiled = Compiled(library, job["models"][0]["path"], job["threads"])
    profiler = library.get("CompiledModelGetProfiler", compiled.model)
    compiled.run()
    library.call("StartProfiler", profiler)
    until, runs = time.perf_counter() + min(job["plan"]["seconds"], LONGEST_SECONDS), 0
    while runs < min(job["plan"]["runs"], MOST_RUNS) or (
        runs < MOST_RUNS and time.perf_counter() < until
    ):
        compiled.run()
        runs += 1
    library.call("StopProfiler", profiler)
    summary = library.get("GetProfileSummary", profiler, compiled.model, kind=ctypes.c_char_p)
    rows = parse((summary.value or b"").decode("utf-8", "replace"))
    if not rows:
        raise runner.JobError("the profiler's table is another than was tried")
    return {"operators": rows, "runs": runs}
