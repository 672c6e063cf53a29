"""Do a job in a process of its own: one that crashes takes no other model's numbers with it."""

import json
import os
import subprocess
import sys
import tempfile

from .result import JobError, read_result


def run_child(job, **changes):
    """Do a changed job in a new process, and return its result.

    Raises:
        JobError: the process failed, or was killed by a signal.
    """
    child = dict(job, **changes)
    with tempfile.TemporaryDirectory(dir=os.path.dirname(os.path.abspath(sys.argv[1]))) as folder:
        path = os.path.join(folder, "job.json")
        with open(path, "w", encoding="utf-8") as stream:
            json.dump(child, stream)
        with open(os.path.join(folder, "errors"), "w+", encoding="utf-8") as errors:
            code, output = _run([*command(job), path], errors)
            result = read_result(output, job["id"])
            if result is None:
                errors.seek(0)
                tail = errors.read().strip().splitlines()[-1:]
                raise JobError("killed by signal %d" % -code if code < 0 else "".join(tail))
    if "error" in result:
        raise JobError(result["error"])
    return result


def command(job):
    """Return the words that start this runner again.

    A Python that is started through a loader of its own cannot be started by its own path, so
    the host tells how it started this one.
    """
    return [*(job.get("launch") or [sys.executable, "-B"]), os.path.abspath(sys.argv[0])]


def _run(argv, errors):
    """Run a command to its end; pass its progress on; return its exit code and other output."""
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=errors, universal_newlines=True)
    lines = []
    for line in process.stdout:
        if line.startswith("progress "):
            sys.stdout.write(line)
            sys.stdout.flush()
        else:
            lines.append(line)
    process.stdout.close()
    return process.wait(), "".join(lines)
