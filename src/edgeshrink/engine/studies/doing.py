"""A study's jobs, done as they become possible, and told."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path

from edgeshrink.engine.jobs.cluster import Cluster
from edgeshrink.engine.jobs.crew import Crew
from edgeshrink.engine.jobs.job import Job
from edgeshrink.plugins import Plugins


class Doing:
    """Does the jobs of a study.

    Args:
        plugins: are told how far it is.
    """

    def __init__(self, plugins: Plugins) -> None:
        self.plugins, self.lock = plugins, threading.Lock()
        self.ended = self.count = 0

    def told(self, job: Job, note: str) -> None:
        """Tell how far a job is, in words."""
        self.plugins.hook.edgeshrink_step_progress(
            step=None, fraction=self.ended / self.count, note=f"{job.name}: {note}"
        )

    def do(self, crew: Crew | Cluster, possible: Callable[[], Iterable[Job]]) -> None:
        """Do jobs, and those that they make possible; interrupted, the crew is closed.

        Args:
            crew: that does them.
            possible: returns the jobs that can be done by now, done or not.
        """
        begun: set[Path] = set()
        busy: set[Future[None]] = set()
        pool = ThreadPoolExecutor(crew.size)
        try:
            while True:
                for job in possible():
                    if not job.done and job.folder not in begun:
                        begun.add(job.folder)
                        self.count += 1
                        busy.add(pool.submit(self._one, crew, job))
                if not busy:
                    return
                done, busy = wait(busy, return_when=FIRST_COMPLETED)
                for future in done:
                    future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            crew.close()
            raise
        finally:
            pool.shutdown()

    def _one(self, crew: Crew | Cluster, job: Job) -> None:
        started = time.monotonic()
        found = crew.run(job)
        with self.lock:
            self.ended += 1
            self.plugins.hook.edgeshrink_run_finished(
                name=job.name,
                done=self.ended,
                count=self.count,
                seconds=time.monotonic() - started,
                failure=found.get("error", ""),
            )
