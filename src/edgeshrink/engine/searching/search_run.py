"""A search: recipe after recipe is made and measured, and the best of them is written."""

from __future__ import annotations

import contextlib
import threading
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path

from edgeshrink.engine import workers
from edgeshrink.engine.compressing import compress
from edgeshrink.engine.jobs.job import Job
from edgeshrink.engine.jobs.workplace import workplace
from edgeshrink.engine.planning.planner import plan
from edgeshrink.engine.running.run_folder import RunFolder
from edgeshrink.engine.running.stage_store import StageStore
from edgeshrink.engine.searching.planning import (
    STAGES,
    WRITTEN,
    PlannedSearch,
    check_times,
    with_effort,
)
from edgeshrink.engine.searching.searcher import Searcher
from edgeshrink.models import file_digest, write_sealed, write_text
from edgeshrink.plugins import Plugins
from edgeshrink.results import SearchReport
from edgeshrink.texts import shown


def search(planned: PlannedSearch, plugins: Plugins) -> SearchReport:
    """Try recipes until the time, the trials or the space are at an end; write the best.

    Interrupted anywhere, the same request goes on: what was measured is not measured again.

    Raises:
        UsageError: another process works in the run folder, another search has this name, or there
            is no such cluster.
        EdgeshrinkError: trials cannot be kept, or the device or the scheduler is gone for good.
    """

    def told(text: str) -> None:
        plugins.hook.edgeshrink_told(text=text)

    request, stages = planned.request, StageStore(planned.request.run_folder / STAGES, told)
    folder = RunFolder(request.run_folder, told)
    # a worker works beside the search that it helps, perhaps in the same folder
    with contextlib.nullcontext() if request.worker else folder.locked():
        request.run_folder.mkdir(parents=True, exist_ok=True)
        if not request.worker:
            stages.mend()

        def note(job: Job, text: str) -> None:
            plugins.hook.edgeshrink_step_progress(
                step=None, fraction=0.0, note=f"{job.name}: {text}"
            )

        with workplace(
            request.jobs, request.scheduler, Path.cwd(), note, request.run_folder, request.read
        ) as crew:
            check_times(request, planned.lightest.profile, max(crew.size, crew.workers))
            stop = threading.Event()
            searches = [Searcher(planned, plugins, crew, stop) for _ in range(crew.size)]
            with ThreadPoolExecutor(crew.size) as pool:
                try:
                    begun = [pool.submit(search.tried) for search in searches]
                    for one in wait(begun, return_when=FIRST_EXCEPTION).done:
                        one.result()
                except BaseException:
                    stop.set()
                    crew.close()
                    raise
        found = searches[0].results.report()
        return found if request.worker else _written(planned, plugins, found)


def _written(planned: PlannedSearch, plugins: Plugins, found: SearchReport) -> SearchReport:
    """Make the recipe that was picked once more, all its stages there, judged on test samples.

    The test samples see this one recipe alone, so that its interval needs no correction.
    """
    if found.picked is None:
        return found
    workers.at("the picked recipe")
    trial = found.trials[found.picked]
    recipe = planned.space.recipe(planned.space.point(trial.steps))
    recipe = with_effort(recipe, trial.effort)
    base, folder = planned.request.base, planned.request.run_folder
    request = replace(
        base, recipe=recipe, run=folder / "picked", stages=folder / STAGES, force=True
    )
    report = compress(plan(request, plugins), plugins)
    kept = {"digest": file_digest(base.out)}
    write_sealed(folder / WRITTEN, kept)
    failed = "; ".join(filter(None, (found.failed, report.failed)))
    found = replace(found, result=report, failed=failed)
    for reporter in plugins.reporters.values():
        if text := shown(reporter().search(found)):
            write_text(base.out.with_suffix(f".search{reporter.suffix}"), text)
    return found
