"""What a job does: build a model, or compress one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from edgeshrink.engine.planning.planner import plan
from edgeshrink.engine.planning.request import Request
from edgeshrink.errors import ModelError
from edgeshrink.models import file_digest, import_object, write_part
from edgeshrink.plugins import Plugins
from edgeshrink.recipes import Methods
from edgeshrink.results import Report

BUILD, COMPRESS = "build", "compress"


@dataclass(frozen=True)
class Build:
    """Write what a function of the user's builds to model.keras, its weights from seed 0.

    Attributes:
        build: `module:function`.
    """

    build: str

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {"do": BUILD, "build": self.build}

    def do(self, folder: Path, plugins: Plugins) -> dict[str, Any]:
        """Do it in the folder of a job; return what was found."""
        import keras

        keras.utils.set_random_seed(0)
        model = import_object(self.build, what="build")()
        if not isinstance(model, keras.Model):
            raise ModelError(f"{self.build} must return a Keras model; it returned {type(model)}")
        with write_part(folder / "model.keras") as part:
            model.save(part)
        return {}


@dataclass(frozen=True)
class Compress:
    """Run a recipe on a model.

    Attributes:
        request: its `out` is one of the job's own files, which is made anew.
        by_layer: also count weights and multiply-accumulates of each layer.
        used: the digest of the sources that it uses, to be told with the result.
    """

    request: Request
    by_layer: bool = False
    used: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        said = {"by_layer": self.by_layer, "used": self.used}
        return {"do": COMPRESS, "request": self.request.as_dict(), **said}

    def do(self, folder: Path, plugins: Plugins) -> dict[str, Any]:
        """Do it in the folder of a job; return the report, and which files it stands on."""
        from edgeshrink.engine.compressing import compress

        request = self.request
        request.out.unlink(missing_ok=True)
        report = compress(plan(request, plugins), plugins)
        kept = (request.stages or request.run_folder).resolve()
        files = [request.run_folder / row.file for row in report.ledger.rows[1:] if row.file]
        found = {
            "report": report.as_dict(),
            "used": self.used,
            "made": datetime.now(UTC).date().isoformat(),
            "run": str(request.run_folder),
            "kept": str(kept),
            "stages": {str(f.resolve().relative_to(kept)): file_digest(f) for f in files},
        }
        return found | ({"layers": counted(report, request)} if self.by_layer else {})


def task_of(said: Mapping[str, Any], methods: Methods) -> Build | Compress:
    """Return the task that `as_dict` told."""
    if said["do"] == BUILD:
        return Build(said["build"])
    return Compress(Request.from_dict(said["request"], methods), said["by_layer"], said["used"])


def counted(report: Report, request: Request) -> list[dict[str, tuple[int, int]]]:
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
