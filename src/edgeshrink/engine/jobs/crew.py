"""Processes on this machine that do jobs, several at a time."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any, Self

from edgeshrink.engine.jobs.job import LOG, UNFORESEEN, Job
from edgeshrink.engine.workers import Account, has_onednn_off

SHARES = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS")


class JobProcess:
    """A process that does one job after another; it ends with this one.

    Args:
        folder: that it works in.
        environ: its environment.
        log: a file for what it prints before its first job.

    Attributes:
        jobs: that it was given.
    """

    def __init__(self, folder: Path, environ: Mapping[str, str], log: Path) -> None:
        self.environ, self.jobs = environ, 0
        with log.open("a") as stream:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "edgeshrink.engine.jobs.process"],
                cwd=folder,
                env=environ,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stream,
                text=True,
                start_new_session=True,  # Ctrl-C is for this process, which then ends it
            )

    def do(self, job: Job, account: Account, told: Callable[[str], Any]) -> int | None:
        """Do a job; return None where the process can do another, else how it ended.

        Args:
            job: its folder says what is to be done.
            account: gets what the process tells.
            told: called with how far it is, in words.
        """
        process, self.jobs = self.process, self.jobs + 1
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps(str(job.folder)) + "\n")
            process.stdin.flush()
        except OSError:  # it has ended
            return process.wait()
        while line := process.stdout.readline():
            if not account.take(line):
                told(json.loads(line))
            elif account.code is not None:
                return None
        return process.wait()

    def end(self) -> None:
        """End the process, whatever it does."""
        self.process.terminate()
        with contextlib.suppress(BrokenPipeError), self.process:
            pass


class Crew:
    """Does jobs in processes of their own, several at a time, the machine shared out to them.

    A process does many jobs, since each process imports TensorFlow. It ends after an error that
    nobody foresaw, and after a job without the usual kernels. Leaving the context ends all.

    Args:
        size: how many jobs are done at a time, at least 1.
        folder: that the processes work in.
        told: called with a job and how far it is, in words, one call at a time.

    Attributes:
        workers: 1, this machine.

    Example:
        >>> with Crew(2) as crew:  # doctest: +SKIP
        ...     found = crew.run(job)
    """

    workers = 1

    def __init__(
        self, size: int, folder: Path = Path(), told: Callable[[Job, str], Any] = lambda *_: None
    ) -> None:
        # without PYTHONSAFEPATH a module in the folder could stand in for one of Python's
        shares = dict.fromkeys(SHARES, str(max(1, (os.cpu_count() or 1) // size)))
        self.environ: Mapping[str, str] = {**os.environ, **shares, "PYTHONSAFEPATH": "1"}
        self.size, self.folder, self._told = size, folder, told
        self._idle: list[JobProcess] = []
        self._alive: set[JobProcess] = set()
        self._lock, self._places = threading.Lock(), threading.Semaphore(size)
        self._closed = threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def run(self, job: Job) -> dict[str, Any]:
        """Do a job that was not done yet, and return its result; several threads may call it.

        Where a process of another crew does the job, that is waited for.

        Raises:
            CancelledError: the crew was closed meanwhile. The job is done some other time.
        """

        def waiting() -> None:
            if self._closed.is_set():
                raise CancelledError
            self._tell(job, "another process does this job; waiting for it")

        with self._places, job.held(waiting):
            if not job.done:
                job.begin()
                said = self._done(job)
                if job.result() is None:
                    if self._closed.is_set():
                        raise CancelledError
                    job.fail(f"{said}; {job.folder / LOG} may say why")
            found = job.result()
        assert found is not None
        return found

    def close(self) -> None:
        """End all processes, and what they do."""
        self._closed.set()
        with self._lock:
            for one in self._alive:
                one.process.terminate()
            while self._idle:
                self._end(self._idle.pop())

    def _done(self, job: Job) -> str:
        """Do a job, once more without oneDNN's kernels where it crashed in them.

        What ended a process that had done others before is tried in a fresh one too: those before
        may have been the reason.

        Returns:
            What became of its process, where that is not in its result.
        """
        environ, fresh = self.environ, False
        while True:
            account = Account(environ)
            code, others = self._process(job, environ, account, fresh)
            if code is None or job.result() is not None or self._closed.is_set():
                return "it ended without a result"
            if more := account.again(code):
                self._tell(job, f"{account.crashed(code)}; again without oneDNN's kernels")
                environ = {**self.environ, **more}
            elif others and not fresh:
                self._tell(job, f"{account.crashed(code)}; again in another process")
                fresh = True
            else:
                return account.crashed(code)

    def _process(
        self, job: Job, environ: Mapping[str, str], account: Account, fresh: bool
    ) -> tuple[int | None, bool]:
        """Do a job in some process; return how that ended, and whether it had done others."""
        one = self._taken(job, environ, fresh)
        try:
            code = one.do(job, account, lambda note: self._tell(job, note))
        except BaseException:
            with self._lock:
                self._end(one)
            raise
        # what such an error left in the process, or a job set of the kernels, would reach others
        usual = environ is self.environ and account.plain == has_onednn_off(environ)
        with self._lock:
            if code is None and account.code != UNFORESEEN and usual and not self._closed.is_set():
                self._idle.append(one)
            else:
                self._end(one)
        return code, one.jobs > 1

    def _end(self, one: JobProcess) -> None:
        self._alive.discard(one)
        one.end()

    def _taken(self, job: Job, environ: Mapping[str, str], fresh: bool) -> JobProcess:
        with self._lock:
            if self._closed.is_set():
                raise CancelledError
            while self._idle and environ is self.environ and not fresh:
                one = self._idle.pop()
                if one.process.poll() is None:
                    return one
                self._end(one)
            one = JobProcess(self.folder, environ, job.folder / LOG)
            self._alive.add(one)
            return one

    def _tell(self, job: Job, note: str) -> None:
        with self._lock:
            self._told(job, note)
