"""Jobs on the machines of a Dask cluster, which share a file system with this one.

The folders of jobs are the truth, not what the scheduler remembers: a job that was lost with it is
given out again, and one that is done is not done again.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from edgeshrink.engine.jobs.crew import Crew
from edgeshrink.engine.jobs.job import Job
from edgeshrink.errors import EdgeshrinkError, UsageError
from edgeshrink.models import write_text
from edgeshrink.part import DISTRIBUTED
from edgeshrink.plugins import installed
from edgeshrink.recipes import source_digest

if TYPE_CHECKING:
    from distributed import Client

ANSWER_SECONDS = 10
SEEN_SECONDS = 90.0  # NFS remembers for up to 60 that a file was not there

_crews: dict[str, list[Crew]] = {}  # in a worker of the cluster, by who asked
_lock = threading.Lock()


class Cluster:
    """Does jobs on a cluster, each in a process of its own beside the worker that got it.

    Args:
        scheduler: its address, as `tcp://HOST:PORT`.
        folder: that jobs work in; every machine sees it, and the jobs' own folders, by that name.
        told: called with a job and what is to be said of it, in words, one call at a time.
        size: jobs that are given out at once, the scheduler holding what no worker has taken; None
            for one a worker.

    Attributes:
        size: how many calls of `run` are served at a time.
        workers: that it has now.

    Raises:
        UsageError: `distributed` is missing, or no scheduler or no worker answers.
    """

    def __init__(
        self,
        scheduler: str,
        folder: Path,
        told: Callable[[Job, str], Any] = lambda *_: None,
        size: int | None = None,
    ) -> None:
        if not DISTRIBUTED.version():
            raise UsageError(
                f"a scheduler needs the package {DISTRIBUTED.name}", hint=DISTRIBUTED.install
            )
        from distributed import Client

        self.scheduler, self.folder, self._told = scheduler, folder, told
        self._whose, self._closed = uuid.uuid4().hex, threading.Event()
        try:
            self._client: Client = Client(
                scheduler, timeout=ANSWER_SECONDS, set_as_default=False, name="edgeshrink"
            )
        except (OSError, ValueError) as error:
            raise UsageError(
                f"no Dask scheduler answers at {scheduler!r}", hint="start one: dask scheduler"
            ) from error
        self.workers = len(self._client.nthreads())
        self.size = size or self.workers
        if not self.workers:
            self._client.close()
            raise UsageError(
                f"the scheduler at {scheduler} has no worker", hint=f"dask worker {scheduler}"
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def check(self, shared: Path, *read: Path) -> None:
        """Refuse workers that do not see the same files, or would do other work.

        Args:
            shared: a folder that is there, in which jobs have their folders.
            read: what else jobs read.

        Raises:
            UsageError: it names a worker, and what is the matter.
        """
        mark = shared / f"seen-{self._whose}"
        write_text(mark, self._whose)
        try:
            asked = [str(path) for path in (*read, self.folder)]
            found = self._client.run(look, str(mark), self._whose, asked, on_error="return")
        finally:
            mark.unlink()
        mine = source_digest("edgeshrink")
        for worker, said in found.items():
            if isinstance(said, Exception):
                raise UsageError(
                    f"the worker {worker} cannot run edgeshrink: {type(said).__name__}: {said}",
                    hint="install the same version for the Python of every worker",
                )
            missing, source = said
            if missing:
                raise UsageError(
                    f"the worker {worker} does not see {missing}",
                    hint="data and run folder must be on a file system that all machines see, "
                    "by the same path",
                )
            if source != mine:
                raise UsageError(
                    f"the worker {worker} has another version of edgeshrink",
                    hint="install the same version for the Python of every worker",
                )

    def run(self, job: Job) -> dict[str, Any]:
        """Do a job that was not done yet, and return its result; several threads may call it.

        Raises:
            CancelledError: the cluster was closed meanwhile. The job is done some other time.
            EdgeshrinkError: the scheduler is gone for good, or the result is not to be seen here.
        """
        while not job.done:
            while self._client.status == "connecting":  # again, to a scheduler that is restarted
                time.sleep(0.2)
            if self._closed.is_set():
                raise CancelledError
            if self._client.status != "running":
                raise EdgeshrinkError(
                    f"the scheduler at {self.scheduler} was lost",
                    hint="the same command goes on with what is not done",
                )
            # a scheduler that knew the key would give the answer of another time
            key = f"{job.folder.name}-{uuid.uuid4().hex[:8]}"
            future = self._client.submit(
                work, job.as_dict(), str(self.folder), self._whose, key=key, pure=False
            )
            try:
                return self._seen(job, future.result())
            except CancelledError:  # this was closed, or the scheduler was lost with all it held
                self._tell(job, "the scheduler lost it; it is given out again")
            except EdgeshrinkError:
                raise
            except Exception as error:  # such as a worker that died of it several times
                with job.held(lambda: None):
                    job.fail(f"the cluster could not do it: {error}")
                break
        found = job.result()
        assert found is not None
        return found

    def _seen(self, job: Job, found: dict[str, Any]) -> dict[str, Any]:
        """Return a result once it is seen here: a network's file system may show files later."""
        until = time.monotonic() + SEEN_SECONDS
        while job.result() != found:
            if time.monotonic() > until:
                raise EdgeshrinkError(
                    f"a worker has done {job.name}, and its result is not to be seen here",
                    hint=f"do all machines see the same {job.folder}?",
                )
            time.sleep(0.2)
        return found

    def _tell(self, job: Job, note: str) -> None:
        with _lock:
            if not self._closed.is_set():
                self._told(job, note)

    def close(self) -> None:
        """Give up what is not done, and end what workers do of it."""
        if self._closed.is_set():
            return
        self._closed.set()
        try:
            if self._client.status == "running":
                self._client.run(end, self._whose, on_error="ignore")
        finally:
            self._client.close(timeout=ANSWER_SECONDS)


def look(mark: str, text: str, asked: list[str]) -> tuple[str, str]:
    """Return, in a worker, the first path that it does not see, and which edgeshrink it has."""
    try:
        seen = Path(mark).read_text(encoding="utf-8") == text
    except OSError:
        seen = False
    missing = [str(Path(mark).parent)] * (not seen)
    missing += [path for path in asked if not Path(path).exists()]
    return (missing or [""])[0], source_digest("edgeshrink")


def work(said: Mapping[str, Any], folder: str, whose: str) -> dict[str, Any]:
    """Do a job, in a worker; return its result."""
    from distributed import get_worker

    job = Job.from_dict(said, installed().methods)
    with Crew(get_worker().state.nthreads, Path(folder)) as crew:
        with _lock:
            _crews.setdefault(whose, []).append(crew)
        try:
            return crew.run(job)
        finally:
            with _lock:
                _crews[whose].remove(crew)


def end(whose: str) -> None:
    """End, in a worker, what it does for somebody."""
    with _lock:
        crews = list(_crews.get(whose, ()))
    for crew in crews:
        crew.close()
