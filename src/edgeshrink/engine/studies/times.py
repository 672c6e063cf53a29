"""How long a study's files take on each device; timed together, when nothing else of it runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgeshrink.devices import RULES
from edgeshrink.engine.benching import bench
from edgeshrink.engine.jobs.tasks import Compress
from edgeshrink.engine.measuring.bench_request import BenchRequest, BenchResult
from edgeshrink.engine.studies.figures import stage_of
from edgeshrink.engine.studies.grid import Grid
from edgeshrink.engine.studies.study_request import Run
from edgeshrink.errors import EdgeshrinkError, StudyError
from edgeshrink.models import RUNNABLE, content_digest, read_sealed, write_sealed
from edgeshrink.recipes import StudyRow
from edgeshrink.results import Report, json_text
from edgeshrink.texts import typed


class Times:
    """Times by device and digest of file, kept in the study's folder of runs.

    Attributes:
        lost: a device was unreachable or lost.
    """

    def __init__(self, grid: Grid) -> None:
        self.grid, self.lost = grid, False
        self.file = grid.request.run_folder / f"times-{grid.study.heading.rules}.json"
        self.known = _kept(self.file)

    def measure(self) -> None:
        """Time what the tables ask for and what was not timed yet."""
        wanted: dict[str, dict[str, Path]] = {}
        for filled, row in self.grid.rows():
            for column in filled.columns:
                if column.measure == "ms" and (found := self.place(row, filled)):
                    digest, path = found
                    if digest not in self.known.get(column.device, {}):
                        wanted.setdefault(column.device, {})[digest] = path
        for device, files in wanted.items():
            request = BenchRequest(
                tuple(files.values()), (device,), plan=RULES[self.grid.study.heading.rules]
            )
            results = bench(request, self.grid.plugins).results
            self.lost |= any(r.failure is not None and r.failure.lost for r in results)
            said = {d: _told(r) for d, r in zip(files, results, strict=True)}
            kept = {d: one for d, one in said.items() if not one.get("failure")}
            self.known.setdefault(device, {}).update(kept)
            write_sealed(self.file, json.loads(json_text(self.known)))
            self.known[device].update(said)

    def place(self, row: StudyRow, filled: Any) -> tuple[str, Path] | None:
        """Return digest and path of the file of a row's first run, if there is one."""
        for run in self.grid.runs(filled, row)[:1]:
            return self._file(run, row.at)
        return None

    def _file(self, run: Run, at: str) -> tuple[str, Path] | None:
        try:
            job = self.grid.job(run)
        except StudyError:
            return None
        found = job.result()
        if found is None or "report" not in found or not isinstance(job.task, Compress):
            return None
        rows = Report.from_dict(found["report"]).ledger.rows
        place = stage_of(rows, at)
        if place is None or rows[place].kind not in RUNNABLE:
            return None
        out = job.task.request.out
        path = out if at == "file" else Path(found["run"], rows[place].file)
        return (content_digest(path), path) if path.is_file() else None


@dataclass(frozen=True)
class Timed:
    """What is kept of one file on one device."""

    ms: float | None
    half_width_ms: float
    runs: int
    threads: int
    doubt: str
    machine: Mapping[str, Any]


@dataclass(frozen=True)
class Known:
    """What is kept, by device and digest of file."""

    devices: Mapping[str, Mapping[str, Timed]]


def _kept(file: Path) -> dict[str, dict[str, Any]]:
    """Return what was timed before; nothing where the file is damaged: it is timed again."""
    try:
        known = typed(Known, {"devices": read_sealed(file) or {}}, "the times")
    except EdgeshrinkError:
        return {}
    return {
        device: {digest: asdict(timed) for digest, timed in files.items()}
        for device, files in known.devices.items()
    }


def _told(result: BenchResult) -> dict[str, Any]:
    timed = result.measurement
    if timed is None:
        return {"failure": result.failure.reason if result.failure else "it was not measured"}
    return {
        "ms": None if timed.device.emulated else timed.median_ms,
        "half_width_ms": 1.96 * timed.standard_error_ms,
        "runs": timed.runs,
        "threads": timed.threads,
        "doubt": timed.device.emulated
        or "; ".join(timed.disturbed)
        or ("" if timed.valid else "too few runs, or too short"),
        "machine": asdict(timed.device),
    }
