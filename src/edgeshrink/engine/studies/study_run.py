"""Run what is not done yet of a study, time the files, and set what was found in tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from edgeshrink.engine.jobs.job import RESULT, Job, is_whole
from edgeshrink.engine.jobs.workplace import workplace
from edgeshrink.engine.running.run_folder import RunFolder
from edgeshrink.engine.running.stage_store import StageStore
from edgeshrink.engine.studies.doing import Doing
from edgeshrink.engine.studies.grid import Grid
from edgeshrink.engine.studies.retelling import retold
from edgeshrink.engine.studies.study_request import Run, StudyRequest
from edgeshrink.engine.studies.tables import tabled
from edgeshrink.engine.studies.times import Times
from edgeshrink.errors import StudyError, UsageError
from edgeshrink.models import is_sealed, remove, write_text
from edgeshrink.plugins import Plugins
from edgeshrink.recipes import Study
from edgeshrink.results import StudyReport
from edgeshrink.texts import shown

T = TypeVar("T")
AT_ONCE = 100  # jobs that a scheduler is given, which holds what no worker has taken


@dataclass(frozen=True)
class PlannedRun:
    """A run, and whether it is done."""

    run: Run
    done: bool


def plan_study(request: StudyRequest, plugins: Plugins) -> tuple[PlannedRun, ...]:
    """Return the runs that a study asks for, with every mistake told that can be told by now.

    Raises:
        UsageError: the file cannot be read, or no row fits.
        StudyError: what is inside it is wrong.
    """
    grid = _grid(request, plugins)
    return tuple(PlannedRun(run, _done(grid, run)) for run in grid.wanted_runs())


def study(request: StudyRequest, plugins: Plugins) -> StudyReport:
    """Run what is not done yet, write the tables, and return them.

    A run that fails is told in its row, and the others go on. Interrupted anywhere, the same
    request goes on: what is done is not done again.

    Raises:
        UsageError: the file cannot be read, no row fits, or another process works on it.
        StudyError: what is inside the file is wrong.
    """
    grid = _grid(request, plugins)
    request.out.mkdir(exist_ok=True)

    def told(text: str) -> None:
        plugins.hook.edgeshrink_told(text=text)

    with RunFolder(request.run_folder, told).locked():
        mend_results(request.run_folder, told)
        StageStore(request.stages, told).mend()
        doing = Doing(plugins)
        jobs = request.jobs or (AT_ONCE if request.scheduler else 1)
        with workplace(
            jobs,
            request.scheduler,
            grid.here,
            doing.told,
            request.run_folder,
            [request.root_folder],
        ) as crew:
            doing.do(crew, lambda: _possible(grid))
        times = Times(grid)
        times.measure()
    return _written(tabled(grid, times), request, plugins)


def retell_study(request: StudyRequest, plugins: Plugins) -> StudyReport:
    """Write the tables again with the words that the study has now; every figure stays.

    Figures are those of the .json among the tables. Nothing is run, and no run is looked up.

    Raises:
        UsageError: there is no such table, or a file cannot be read.
        StudyError: what is inside the study is wrong.
    """
    grid = Grid(request, Study.read(request.file), plugins)
    return _written(retold(grid, request.tables(".json")), request, plugins)


def mend_results(run_folder: Path, told: Callable[[str], Any]) -> None:
    """Remove what jobs found where it, or a file that they made, is not as it was written.

    Args:
        run_folder: of the study.
        told: called with a sentence for each.
    """
    results = run_folder / "results"
    if results.is_file():
        remove(results)
    for place in results.glob(f"*/{RESULT}"):
        if not is_whole(place):
            remove(place)
            told(f"{place.parent.relative_to(run_folder.parent)} was damaged, and is made again")
    for place in run_folder.glob("times-*.json"):
        if not is_sealed(place):
            remove(place)
            told(f"{place.relative_to(run_folder.parent)} was damaged, and is measured again")


def _written(report: StudyReport, request: StudyRequest, plugins: Plugins) -> StudyReport:
    for reporter in plugins.reporters.values():
        if text := shown(reporter().study(report)):
            write_text(request.tables(reporter.suffix), text)
    return report


def _grid(request: StudyRequest, plugins: Plugins) -> Grid:
    if not request.out.parent.is_dir() or request.out.is_file():
        raise UsageError(f"no folder {str(request.out)!r} to write the tables to")
    grid = Grid(request, Study.read(request.file), plugins)
    grid.check_places()
    _ = grid.wanted  # a pattern that fits no row is told before any work
    return grid


def _possible(grid: Grid) -> Iterator[Job]:
    """Yield the jobs that can be done by now: of runs, those whose model is there."""
    runs = grid.wanted_runs()
    for model in dict.fromkeys(run.model for run in runs):
        for make in (grid.building, grid.training):
            if job := _job(make, model):
                yield job
    for run in runs:
        if job := _job(grid.job, run):
            yield job


def _job(make: Callable[[T], Job | None], of: T) -> Job | None:
    """Return the job that is made of something, or None where what it needs has failed."""
    try:
        return make(of)
    except StudyError:
        return None


def _done(grid: Grid, run: Run) -> bool:
    job = _job(grid.job, run)
    return job is not None and job.done
