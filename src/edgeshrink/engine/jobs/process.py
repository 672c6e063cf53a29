"""A process that does jobs, one after another: python -m edgeshrink.engine.jobs.process.

Each line on standard input is the folder of a job, in JSON. It holds job.json; result.json is
written there, with what was found or why it failed. Each line on standard output is how far it is,
in JSON, or what `workers` tells. It ends with its standard input.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from edgeshrink.api import hookimpl
from edgeshrink.engine import workers
from edgeshrink.engine.jobs.job import JOB, LOG, RESULT, UNFORESEEN
from edgeshrink.engine.jobs.tasks import task_of
from edgeshrink.errors import EdgeshrinkError, left, shortage
from edgeshrink.models import file_digest, write_sealed
from edgeshrink.plugins import Plugins, installed
from edgeshrink.results import json_text


class Teller:
    """An observer plugin that writes a line for each thing that it is told."""

    def __init__(self, stream: Any) -> None:
        self.stream, self.place, self.last = stream, "", 0.0

    @hookimpl
    def edgeshrink_step_started(self, step: Any, index: int, count: int) -> None:
        """Tell the step that runs."""
        self.place = f"[{index + 1}/{count}] {step} "

    @hookimpl
    def edgeshrink_step_progress(self, step: Any, fraction: float, note: str) -> None:
        """Tell how far it is, once a second at most."""
        if time.monotonic() - self.last > 1:
            self.last = time.monotonic()
            print(json.dumps(f"{self.place}{note}"), file=self.stream, flush=True)


def main() -> None:
    """Do jobs, and tell how far each is and that it is over, until standard input ends."""
    stream = os.fdopen(os.dup(1), "w")
    folders = workers.serve(stream.fileno(), os.dup(0))
    with Path(os.devnull).open() as nothing:
        os.dup2(nothing.fileno(), 0)  # what jobs start may read it, and must not get their lines
    plugins, teller = installed(), Teller(stream)
    plugins.register(teller, "teller")
    while True:
        folder = Path(json.loads(folders.get()))
        teller.place = ""
        log_to(folder / LOG)
        code = do(folder, plugins)
        forget()
        workers.ends(code)


def log_to(file: Path) -> None:
    """Let whatever is printed by any library go to a file from now on."""
    sys.stdout.flush()
    sys.stderr.flush()
    log = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)


def do(folder: Path, plugins: Plugins) -> int:
    """Do the job of a folder and write its result; return its exit code, or UNFORESEEN."""
    said, started = json.loads((folder / JOB).read_text(encoding="utf-8")), time.monotonic()
    ends = 0
    try:
        found, code = task_of(said["task"], plugins.methods).do(folder, plugins), 0
    except EdgeshrinkError as error:
        found, code = {"error": str(error), "hint": error.hint}, error.exit_code
    except (Exception, SystemExit) as error:
        # a stranger's model or method may raise anything; the other jobs go on
        import traceback

        traceback.print_exc()
        why = left(error) if isinstance(error, SystemExit) else shortage(error)
        found, code = {"error": why or f"{type(error).__name__}: {error}", "hint": ""}, 1
        ends = UNFORESEEN
    found |= {"key": said["key"], "code": code, "seconds": time.monotonic() - started}
    made = {p.name: file_digest(p) for p in folder.glob("model*") if p.is_file()}
    write_sealed(folder / RESULT, json.loads(json_text({**found, "files": made})))
    return ends or code


def forget() -> None:
    """Let nothing of a job reach the next one: names, seeds and settings that Keras keeps."""
    if keras := sys.modules.get("keras"):
        keras.backend.clear_session(free_memory=True)


if __name__ == "__main__":
    main()
