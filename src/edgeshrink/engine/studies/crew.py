"""The processes that do a study's jobs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path

from edgeshrink.engine.studies.jobs import Job
from edgeshrink.engine.workers import Account
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

    def do(self, possible: Callable[[], Iterable[Job]]) -> None:
        """Do jobs, and those that they make possible; interrupted, every process is ended.

        Args:
            possible: returns the jobs that can be done by now, done or not.
        """
        begun: set[Path] = set()
        busy: dict[Future[None], str] = {}
        self.ended = self.count = 0
        pool = ThreadPoolExecutor(self.size)
        try:
            while True:
                lanes: dict[str, dict[Path, Job]] = {}
                for job in possible():
                    if not job.done and job.folder not in begun and job.lane not in busy.values():
                        lanes.setdefault(job.lane, {})[job.folder] = job
                for lane, jobs in lanes.items():
                    begun.update(jobs)
                    self.count += len(jobs)
                    busy[pool.submit(self._lane, list(jobs.values()))] = lane
                if not busy:
                    return
                for future in wait(busy, return_when=FIRST_COMPLETED).done:
                    del busy[future]
                    future.result()
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
            said = self._done(job)
            if self.stopped.is_set():
                return
            if job.result() is None:
                job.fail(f"{said}; {job.folder / 'job.log'} may say why")
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

    def _done(self, job: Job) -> str:
        """Do a job, once more without oneDNN's kernels where it crashed in them.

        Returns:
            What became of its process, where that is not in its result.
        """
        environ = self.env
        (job.folder / "job.log").unlink(missing_ok=True)
        while True:
            account = Account(environ)
            code = self._process(job, environ, account)
            more = account.again(code)
            if more is None or job.result() is not None or self.stopped.is_set():
                return account.crashed(code)
            self._tell(job, f"{account.crashed(code)}; again without oneDNN's kernels")
            environ = {**self.env, **more}

    def _process(self, job: Job, environ: Mapping[str, str], account: Account) -> int:
        with (
            (job.folder / "job.log").open("a") as log,
            subprocess.Popen(
                [sys.executable, "-m", "edgeshrink.engine.studies.worker", str(job.folder)],
                cwd=self.folder,
                env=environ,
                stdin=subprocess.PIPE,  # never written to: its end is ours
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            ) as process,
        ):
            self.alive.add(process)
            try:
                assert process.stdout is not None
                for line in process.stdout:
                    if not account.take(line):
                        self._tell(job, json.loads(line))
                return process.wait()
            finally:
                self.alive.discard(process)

    def _tell(self, job: Job, note: str) -> None:
        with self.lock:
            self.plugins.hook.edgeshrink_step_progress(
                step=None, fraction=self.ended / self.count, note=f"{job.name}: {note}"
            )
