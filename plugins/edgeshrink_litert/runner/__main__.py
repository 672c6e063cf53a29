"""Do the job named on the command line: `python -B runner.pyz job.json`.

Progress is printed as lines `progress 0.25 note`; the last three lines are the result.
"""

import importlib
import json
import os
import sys

from .result import JobError, first_line, print_result
from .unpacking import plain

# What a job may be, with the module and the function that do it. The first four are asked for by
# the host, the others by a process of the runner.
KINDS = {
    "facts": ("facts", "facts"),
    "time": ("turns", "time_models"),
    "predict": ("backends", "predict"),
    "operators": ("operators", "profile"),
    "start": ("timing", "measure_start"),
    "latency": ("timing", "measure_latency"),
    "energy": ("energy", "measure_energy"),
}
FAILURES = (
    JobError,
    ImportError,
    RuntimeError,
    ValueError,
    OSError,
    OverflowError,
    MemoryError,
    SystemError,
)


def main():
    """Read the job, do it, and print its result or its error."""
    # Before numpy is imported: its own threads would stand in the runtime's way.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    with open(sys.argv[1], encoding="utf-8") as stream:
        job = json.load(stream)
    try:
        module, function = KINDS[job["kind"]]
        with plain(job) as unpacked:
            result = getattr(importlib.import_module("." + module, __package__), function)(unpacked)
    except FAILURES as error:
        result = {"error": first_line(error)}
    print_result(job, result)


if __name__ == "__main__":
    main()
