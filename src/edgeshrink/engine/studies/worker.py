"""One job of a study in a process of its own: python -m edgeshrink.engine.studies.worker FOLDER.

The folder holds job.json; result.json is written there, with what was found or why it failed.
Each line on standard output is how far it is, in JSON. It works while standard input is open.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from edgeshrink.api import hookimpl
from edgeshrink.devices import RULES
from edgeshrink.engine import workers
from edgeshrink.engine.planning.planner import plan
from edgeshrink.engine.planning.request import Request
from edgeshrink.errors import EdgeshrinkError, ModelError, left, shortage
from edgeshrink.models import file_digest, import_object, write_part, write_sealed
from edgeshrink.plugins import Plugins, installed
from edgeshrink.recipes import Recipe
from edgeshrink.results import Budgets, Report, json_text

JOB, RESULT = "job.json", "result.json"


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


def main(folder: Path) -> int:
    """Do the job of a folder and tell how far it is; return the exit code of what happened."""
    told = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever else is printed belongs to the log
    workers.serve(told.fileno(), os.dup(0))
    plugins = installed()
    plugins.register(Teller(told), "teller")
    return do(folder, plugins)


def do(folder: Path, plugins: Plugins) -> int:
    """Do the job of a folder and write its result; return the exit code of what happened."""
    job, started = json.loads((folder / JOB).read_text(encoding="utf-8")), time.monotonic()
    kinds: dict[str, Callable[..., dict[str, Any]]] = {"build": build, "compress": compress}
    try:
        found, code = kinds[job["do"]](job, folder, plugins), 0
    except EdgeshrinkError as error:
        found, code = {"error": str(error), "hint": error.hint}, error.exit_code
    except (Exception, SystemExit) as error:
        # a stranger's model or method may raise anything; the study goes on
        import traceback

        traceback.print_exc()
        said = left(error) if isinstance(error, SystemExit) else shortage(error)
        found, code = {"error": said or f"{type(error).__name__}: {error}", "hint": ""}, 1
    found |= {"key": job["key"], "code": code, "seconds": time.monotonic() - started}
    made = {p.name: file_digest(p) for p in folder.glob("model*") if p.is_file()}
    write_sealed(folder / RESULT, json.loads(json_text({**found, "files": made})))
    return code


def build(job: dict[str, Any], folder: Path, plugins: Plugins) -> dict[str, Any]:
    """Write what a function of the user's builds to model.keras, its weights from seed 0."""
    import keras

    keras.utils.set_random_seed(0)
    model = import_object(job["build"], what="build")()
    if not isinstance(model, keras.Model):
        raise ModelError(f"{job['build']} must return a Keras model; it returned {type(model)}")
    with write_part(folder / "model.keras") as part:
        model.save(part)
    return {}


def compress(job: dict[str, Any], folder: Path, plugins: Plugins) -> dict[str, Any]:
    """Run a recipe; times here are a moment's, to see that files run: the study times them."""
    from edgeshrink.engine.compressing import compress as work

    out = folder / job["out"]
    out.unlink(missing_ok=True)
    request = Request(
        model=Path(job["model"]),
        recipe=Recipe.from_toml(job["recipe"], plugins.methods),
        out=out,
        data=job["data"],
        preprocess=job["preprocess"],
        resize=job["resize"],
        task=job["task"],
        devices=(job["device"],),
        run=Path(job["run"]),
        force=job["untrained"],
        budgets=Budgets(max_drop="none"),  # a table shows what is lost
        bench=RULES["smoke"],
        command=job["command"],
    )
    report = work(plan(request, plugins), plugins)
    found: dict[str, Any] = {"report": report.as_dict(), "used": job["used"]}
    found["made"] = datetime.now(UTC).date().isoformat()
    stages = {row.file for row in report.ledger.rows[1:] if row.file}
    found["run"] = str(request.run_folder)
    found["stages"] = {name: file_digest(request.run_folder / name) for name in sorted(stages)}
    if job["by_layer"]:
        found["layers"] = by_layer(report, request)
    return found


def by_layer(report: Report, request: Request) -> list[dict[str, tuple[int, int]]]:
    """Return weights and MACs by layer for each row of the ledger; a file has its model's."""
    import keras

    from edgeshrink.nn.graph import count

    found: list[dict[str, tuple[int, int]]] = []
    for row in report.ledger.rows:
        if row.kind == "keras":
            model = keras.models.load_model(request.run_folder / row.file, compile=False)
            found.append({one.path: (one.parameters, one.macs) for one in count(model).layers})
        else:
            found.append(found[-1])
    return found


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
