"""A process with all imported that commands take, and nothing of it used, which forks for each.

Before its first operation TensorFlow has no threads, so a fork is safe then; what is forked runs
the command line as it is. The converter's process is started once, and all share it. Neither is
there without the argument `tensorflow`.

Each line on standard input is a command in JSON, each line on standard output its exit code.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeshrink.cli import run
from edgeshrink.models.write_faults import VARIABLE, Moment, WriteFault, install
from edgeshrink.plugins import installed

LIGHT = ("edgeshrink.cli.app", "edgeshrink.cli.commands.bench", "edgeshrink.engine.benching")
LIGHT += ("edgeshrink_litert.litert", "edgeshrink_targets.local")
HEAVY = ("keras", "tensorflow", "edgeshrink.cli.commands.compress", "edgeshrink.engine.compressing")
HEAVY += ("edgeshrink_prune.magnitude", "edgeshrink_quantize.choosing")


@dataclass(frozen=True)
class Copies(WriteFault):
    """Keeps what a kill would leave of the working directory, at each moment of each write.

    Attributes:
        copies: the folder that gets a copy for each.
    """

    copies: str = ""

    def meet(self, number: int, part: Path, moment: Moment) -> None:
        """Copy what is there, with half of the file that is being written."""
        here, copy = Path.cwd(), Path(self.copies) / f"{number:03}-{moment}"
        shutil.copytree(here, copy, ignore=shutil.ignore_patterns("said.txt", "writes.txt"))
        if moment == "middle" and part.is_file():
            half = copy / part.relative_to(here)
            os.truncate(half, half.stat().st_size // 2)


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
            if "copies" in fault:
                install(Copies(**fault))
            else:
                os.environ[VARIABLE] = json.dumps(fault)  # for processes that it starts
                install(WriteFault(**fault))
        code = run(job["argv"])
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def import_tensorflow() -> None:
    """Import what trains and converts, and start the converter's process."""
    from edgeshrink.nn.conversion import shared_converter

    for name in HEAVY:
        importlib.import_module(name)
    shared_converter.warm_up()
    # a fork cannot wait for what is not its child, and would take it for dead
    shared_converter._process.poll = lambda: None


def main() -> None:
    """Answer commands until standard input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    _ = installed().methods
    for name in LIGHT:
        importlib.import_module(name)
    if "tensorflow" in sys.argv:
        import_tensorflow()
    for line in sys.stdin:
        print(forked(json.loads(line)), file=answers, flush=True)


if __name__ == "__main__":
    main()
