"""A process with TensorFlow imported and nothing of it used yet, which forks for every command.

Before its first operation TensorFlow has no threads, so a fork is safe then; what is forked runs
the command line as it is. The converter's process is started once, and all share it.

Each line on standard input is a command in JSON, each line on standard output its exit code.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from typing import Any

import keras  # noqa: F401 - what takes long
import tensorflow  # noqa: F401

import edgeshrink.engine.benching
import edgeshrink.engine.compressing  # noqa: F401
from edgeshrink.cli import run
from edgeshrink.models.write_faults import VARIABLE, WriteFault, install
from edgeshrink.nn.conversion import shared_converter
from edgeshrink.plugins import installed


def forked(job: dict[str, Any]) -> int:
    """Run a command in a fork and return its exit code, negative for a signal."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python warns of threads, which numpy may have
        process = os.fork()
    if process == 0:
        os.chdir(job["cwd"])
        os.environ.update(job["env"])
        said = os.open("said.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(said, 1)
        os.dup2(said, 2)
        sys.argv = ["edgeshrink", *job["argv"]]
        if fault := job["fault"]:
            os.environ[VARIABLE] = json.dumps(fault)  # for processes that it starts
            install(WriteFault(**fault))
        code = run(job["argv"])
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def main() -> None:
    """Answer commands until standard input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    _ = installed().methods
    shared_converter.warm_up()
    # a fork cannot wait for what is not its child, and would take it for dead
    shared_converter._process.poll = lambda: None
    for line in sys.stdin:
        print(forked(json.loads(line)), file=answers, flush=True)


if __name__ == "__main__":
    main()
