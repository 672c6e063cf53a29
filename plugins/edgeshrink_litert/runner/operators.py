"""Time each operator of a model by the profiler of LiteRT's C library.

The Python interpreter has no profiler; the library that comes in the same package has one, which
also looks into XNNPACK.
"""

import ctypes
import os
import re
import time

from . import backends, bare
from .library import NAME, Library, find
from .result import JobError
from .timing import stay_on_cores

LONGEST_SECONDS, FEWEST_RUNS, MOST_RUNS = 2.0, 3, 200
PROFILING = (b"runtime_options_string", b"enable_profiling = true\n")

# `  Delegate/Add (ND)   0.000   0.004   0.004   0.933%   89.399%   0.000   20   [Delegate]:3`
ROW = re.compile(
    r"^\s*(?P<name>\S.*?)\s+[\d.]+\s+[\d.]+\s+(?P<milliseconds>[\d.]+)\s+[\d.]+%\s+[\d.]+%"
    r"\s+[\d.]+\s+(?P<calls>\d+)\s+\[\w+\]:\d+\s*$"
)
DELEGATED = "Delegate/"


def parse(summary, runs):
    """Return the rows of the table in the order of the run, with their times in one inference.

    Operators of the same kind in different parts of the graph may share a row, which is then
    called several times for each run.

    Args:
        summary: the profiler's text.
        runs: how often the model was run.
    """
    rows = []
    for line in summary.partition("Run Order")[2].partition("Top by Computation")[0].splitlines():
        found = ROW.match(line)
        if found:
            name = found.group("name")
            name = name[len(DELEGATED) :] if name.startswith(DELEGATED) else name
            calls, mean = int(found.group("calls")), float(found.group("milliseconds"))
            rows.append(
                {
                    "name": name,
                    "milliseconds": mean * calls / runs,
                    "calls": max(1, round(calls / runs)),
                }
            )
    return rows


def profile(job):
    """Return the time of each operator of the job's one model."""
    stay_on_cores(job)
    backend = backends.find(job)
    other = "backend" in job or backend.name == "tflite-runtime"
    if other or job.get("accelerator", "cpu") != "cpu":
        raise JobError("this runtime gives no time by operator")
    if job["kernels"] != "xnnpack":
        raise JobError("the profiler runs only with XNNPACK")
    if isinstance(backend, bare.Bare):
        library = backend.library
    else:
        folder = os.path.dirname(os.path.abspath(backend.interpreter.__file__))
        try:
            library = Library(find(os.path.join(folder, NAME))[0])
        except (JobError, OSError):
            raise JobError("this runtime gives no time by operator") from None
    model = job["models"][0]
    compiled = bare.Loaded(library, job, model, [PROFILING]).compiled
    rows, runs = _profiled(library, compiled, job["plan"])
    if not rows:
        raise JobError("the profiler's table is another than was tried")
    return {"operators": rows, "runs": runs}


def _profiled(library, compiled, plan):
    profiler = library.get("CompiledModelGetProfiler", compiled.model)
    compiled.run()
    library.call("StartProfiler", profiler)
    until, runs = time.perf_counter() + min(plan["seconds"], LONGEST_SECONDS), 0
    while runs < FEWEST_RUNS or (runs < MOST_RUNS and time.perf_counter() < until):
        compiled.run()
        runs += 1
    library.call("StopProfiler", profiler)
    summary = library.get("GetProfileSummary", profiler, compiled.model, kind=ctypes.c_char_p)
    return parse((summary.value or b"").decode("utf-8", "replace"), runs), runs
