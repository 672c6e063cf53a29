"""The processes that do a study's jobs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from edgeshrink.engine.studies.jobs import Job
from edgeshrink.plugins import Plugins


class Crew:
    """Does jobs in processes of their own, several at a time, the machine shared out to them."""

    def __init__(self, size: int, folder: Path, plugins: Plugins) -> None:
        threads = str(max(1, (os.cpu_count() or 1) // size))
        shares = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS")
        # without PYTHONSAFEPATH a module beside the study could stand in for one of Python's
        self.env = {**os.environ, **dict.fromkeys(shares, threads), "PYTHONSAFEPATH": "1"}
        self.size, self.folder, self.plugins = size, folder, plugins
        self.alive: set[subprocess.Popen[str]] = set()
        self.lock, self.stopped = threading.Lock(), threading.Event()
        self.ended = self.count = 0

    def do(self, jobs: Sequence[Job]) -> None:
        """Do the jobs that are not done; interrupted, every process of theirs is ended."""
        lanes: dict[str, dict[Path, Job]] = {}
        for job in jobs:
            if not job.done:
                lanes.setdefault(job.lane, {})[job.folder] = job
        self.ended, self.count = 0, sum(map(len, lanes.values()))
        pool = ThreadPoolExecutor(self.size)
        try:
            for done in [pool.submit(self._lane, list(lane.values())) for lane in lanes.values()]:
                done.result()
        except BaseException:
            self.stopped.set()
            raise
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in list(self.alive):
                process.terminate()
            pool.shutdown()

    def _lane(self, jobs: list[Job]) -> None:
        for job in jobs:
            started = time.monotonic()
            job.begin()
            code = self._process(job)
            if self.stopped.is_set():
                return
            if job.result() is None:
                how = f"signal {-code}" if code < 0 else f"code {code}"
                job.fail(f"its process ended with {how}; {job.folder / 'job.log'} may say why")
            failure = (job.result() or {}).get("error", "")
            with self.lock:
                self.ended += 1
                self.plugins.hook.edgeshrink_run_finished(
                    name=job.name,
                    done=self.ended,
                    count=self.count,
                    seconds=time.monotonic() - started,
                    failure=failure,
                )

    def _process(self, job: Job) -> int:
        with (job.folder / "job.log").open("w") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "edgeshrink.engine.studies.worker", str(job.folder)],
                cwd=self.folder,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
            self.alive.add(process)
            try:
                assert process.stdout is not None
                for line in process.stdout:
                    self._tell(job, line)
                return process.wait()
            finally:
                self.alive.discard(process)

    def _tell(self, job: Job, line: str) -> None:
        with self.lock:
            self.plugins.hook.edgeshrink_step_progress(
                step=None, fraction=self.ended / self.count, note=f"{job.name}: {json.loads(line)}"
            )
